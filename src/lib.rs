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
//! | `main` | 6 | the order of acts, and the exit code | all |
//! | [`refusal`] | 5 | why there is no service, its exit code, and the pause after it | activation, config, daemon, exposition, notify, process, signals, stdout, telemetry |
//! | [`daemon`] | 4 | the loop: triggers, stop, watchdog, drain; what the last process has kept | metrics, notify, observe, signals |
//! | [`query`] | 4 | one query from the command line: table or JSON | answer, config, observe, signals, stdout, telemetry, words |
//! | [`config`] | 3 | flags and environment | images, telemetry, words |
//! | [`observe`] | 3 | one event: spans, stores asked concurrently, facts reported | answer, images, metrics, words |
//! | [`images`] | 2 | an image store: the kinds, their transport, how it fails | answer, words, work |
//! | [`exposition`] | 2 | hyper: `/metrics`, `/`, `/-/healthy`, `/-/ready`; limits; drain | activation, metrics, work |
//! | [`telemetry`] | 2 | the log and the finished traces on their way out | metrics, words, work |
//! | [`metrics`] | 1 | one table of gauges, the counters, what outlives the process | answer |
//! | [`activation`] | 1 | sockets in | words |
//! | [`notify`] | 1 | words out to systemd | words |
//! | [`answer`] | 0 | the vocabulary: what a store answers, and why it does not | – |
//! | [`process`] | 0 | what the process has: the `process_*` collector, enough descriptors | – |
//! | [`signals`] | 0 | signals in | – |
//! | [`stdout`] | 0 | what the command line asked for | – |
//! | `words` | 0 | words of others as they may be shown | – |
//! | `work` | 0 | work whose panic is an error, and tasks that end with their owner | – |
//!
//! Imports go down a level, never up or in circles; `tests/rooms.rs` holds the sources to this table. What is `pub` is for `main`,
//! tests and tools; everything else is `pub(crate)`, so that the compiler finds what nothing uses. The reader
//! of lists is a crate of its own: [`scan`].

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
pub(crate) mod words;
pub(crate) mod work;

/// The git revision the program was built from; empty when it was built outside a checkout.
pub const REVISION: &str = env!("BUILD_REVISION");
