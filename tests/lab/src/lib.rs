//! Code that the tests, examples and benches of `exp-rkt-grpc` share.
//!
//! | module | contents |
//! | --- | --- |
//! | [`rkt_api_service`] | a stand-in for rkt's api-service that can misbehave on command |
//! | [`cri_runtime`] | a stand-in for containerd and CRI-O that can misbehave on command; a plain CRI client |
//! | [`containerd`] | a real containerd with generated images, and containers of them |
//! | [`containerd_api`] | a stand-in for containerd's own API that can misbehave on command; a plain client of it |
//! | [`stand_in`] | the common code of the stand-ins |
//! | [`jaeger_agent`] | receives and decodes traces like a Jaeger agent, from the Thrift specification |
//! | [`jaeger`] | a real Jaeger, and a client of its query API |
//! | [`otlp_collector`] | receives traces over OTLP/gRPC, from the official .proto files |
//! | [`protobuf`] | rearranges protobuf messages and cuts them into pieces |
//! | [`prometheus`] | a real Prometheus |
//! | [`exposition`] | parses the Prometheus text format |
//! | [`service`] | starts the real program, sends it signals, scrapes it, and receives its notifications to systemd |
//! | [`identity`] | runs a program with fewer privileges |
//! | [`browser`] | a headless Chromium, and axe-core's accessibility checks in it |
//! | [`html`] | a validator of HTML |
//! | [`poll`] | waits by polling where no event is available |
//! | [`documents`] | the code blocks of README.md and docs/ |
//! | [`debian`] | minimal root file systems of Debian suites |
//! | [`machine`] | boots throw-away machines with their own systemd |
//! | [`peers`] | builds programs of peers that Debian does not have |
//! | [`mistakes`] | the messages that `docs/troubleshooting.md` explains |
//! | [`name_server`] | a DNS server with a few names |
//! | [`supply`] | runs the scripts that get or make what tests need |
//! | [`skip`] | warns that a test cannot run on this host |
//! | [`load`] | scrapes many times a second and counts the responses |

pub mod browser;
pub mod containerd;
pub mod containerd_api;
pub mod cri_runtime;
pub mod debian;
pub mod documents;
pub mod exposition;
pub mod html;
pub mod identity;
pub mod jaeger;
pub mod jaeger_agent;
pub mod load;
pub mod machine;
pub mod mistakes;
pub mod name_server;
pub mod otlp_collector;
pub mod peers;
pub mod poll;
pub mod prometheus;
pub mod protobuf;
pub mod rkt_api_service;
pub mod service;
pub mod skip;
pub mod stand_in;
pub mod supply;

pub use tempfile::{TempDir, tempdir};

/// Tests that run with both releases of a peer: functions that take a `Release`, which has to be in scope with Debian's and this one.
/// They are skipped where the latter's programs are missing.
#[macro_export]
macro_rules! with_both {
    ($later:ident: $($test:ident,)*) => {
        mod debian {
            $(#[test] fn $test() { super::$test(super::Release::Debian); })*
        }

        mod $later {
            $(#[test] fn $test() {
                if let Some(release) = super::Release::$later() {
                    super::$test(release);
                }
            })*
        }
    };
}
