//! What the tests, examples and benches of `exp-rkt-grpc` share.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`rkt_api_service`] | a stand-in for rkt's api-service that can misbehave on command |
//! | [`cri_runtime`] | a stand-in for containerd and CRI-O that can misbehave on command; a plain CRI client |
//! | [`containerd`] | a real containerd with images that no registry has seen |
//! | [`stand_in`] | what the stand-ins have in common |
//! | [`jaeger_agent`] | receives what a Jaeger agent would and decodes it, from the Thrift specification |
//! | [`otlp_collector`] | receives traces over OTLP/gRPC, from the official .proto files |
//! | [`protobuf`] | messages by hand, disordered and cut into pieces |
//! | [`exposition`] | reads the Prometheus text format |
//! | [`service`] | starts the real program, signals it, scrapes it, listens to what it tells systemd |
//! | [`identity`] | lets a program run as somebody with fewer rights |
//! | [`poll`] | waits for what nobody announces |
//! | [`documents`] | the code blocks of README.md and docs/ |
//! | [`debian`] | minimal roots of Debian suites |
//! | [`machine`] | boots throw-away machines with a systemd of their own |
//! | [`mistakes`] | what the program is to say of the mistakes in `docs/mistakes.md` |
//! | [`name_server`] | a DNS server that knows a few names |
//! | [`skip`] | says loudly that a test cannot be run here |
//! | [`load`] | scrapes many times a second and counts what comes back |

pub mod containerd;
pub mod cri_runtime;
pub mod debian;
pub mod documents;
pub mod exposition;
pub mod identity;
pub mod jaeger_agent;
pub mod load;
pub mod machine;
pub mod mistakes;
pub mod name_server;
pub mod otlp_collector;
pub mod poll;
pub mod protobuf;
pub mod rkt_api_service;
pub mod service;
pub mod skip;
pub mod stand_in;

pub use tempfile::{TempDir, tempdir};
