//! `exp-rkt-grpc` counts the images of container image stores when it is asked by SIGQUIT.
//!
//! ```text
//! trigger (SIGQUIT) -> observe: root span -> each store, concurrently, within one deadline -> Answer or QueryError
//!     -> metrics (numbers)   -> journal (one line)   -> Jaeger (the finished trace)   -> systemd STATUS=
//! scrape (HTTP) -> exposition -> registry        a scrape never asks a store: it reads what the last query left
//! ```
//!
//! | module | level | what it is | may import |
//! | --- | --- | --- | --- |
//! | `main` | 5 | order of acts and exit codes | all |
//! | [`daemon`] | 4 | the loop: triggers, stop, watchdog, drain | observe, signals, notify |
//! | [`refusal`] | 4 | why there is no service, and the pause after it | activation, config, notify, signals, stdout, telemetry |
//! | [`query`] | 4 | one query from the command line: table or JSON | observe, images, telemetry, words |
//! | [`observe`] | 3 | one event: spans, stores asked concurrently, facts reported | images, metrics, words |
//! | [`images`] | 2 | an image store: what is asked, what it answers, how it fails | config, words, work |
//! | [`exposition`] | 2 | hyper: `/metrics`, `/`, `/-/healthy`, `/-/ready`; limits; drain | activation, metrics, work |
//! | [`telemetry`] | 2 | the log and the finished traces on their way out | config, words, work |
//! | [`config`] | 1 | flags and environment | words |
//! | [`activation`] | 1 | sockets in | words |
//! | [`notify`] | 1 | words out to systemd | words |
//! | [`process`] | 0 | what the process has: the `process_*` collector, enough descriptors | – |
//! | [`metrics`] | 0 | every family, its name and HELP | – |
//! | [`signals`] | 0 | signals in | – |
//! | [`stdout`] | 0 | what the command line asked for | – |
//! | [`words`] | 0 | words of others as they may be shown | – |
//! | [`work`] | 0 | work whose panic is an error, and tasks that end with their owner | – |
//!
//! Imports go down a level, never up or in circles. A module's own children (`images/rkt.rs`, `telemetry/jaeger.rs`, …) are its
//! own affair and import nothing above themselves. `tests/rooms.rs` holds the sources to this table.

/// The git revision the program was built from; empty when it was built outside a checkout.
pub const REVISION: &str = env!("BUILD_REVISION");

pub mod activation;
pub mod answer;
pub mod config;
pub mod daemon;
pub mod exposition;
pub mod images;
pub mod metrics;
pub mod notify;
pub mod observe;
pub mod process;
pub mod query;
pub mod refusal;
pub mod signals;
pub mod stdout;
pub mod telemetry;
pub mod words;
pub mod work;
