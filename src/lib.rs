//! `exp-rkt-grpc` counts the images of container image stores when it receives SIGQUIT.
//!
//! ```text
//! trigger (SIGQUIT) -> observe: root span -> each store, concurrently, within one deadline -> Answer or QueryError
//!     -> metrics (numbers)   -> journal (one line)   -> Jaeger (the finished trace)   -> systemd STATUS=
//! scrape (HTTP) -> exposition -> registry        a scrape never queries a store: it reads the last results
//! ```
//!
//! | module | level | what it is | may import |
//! | --- | --- | --- | --- |
//! | `main` | 6 | start-up, the service or one query, and the exit codes | all |
//! | [`refusal`] | 5 | why the service did not start or ended early, and its exit code | activation, config, daemon, exposition, notify, process, signals, stdout, telemetry |
//! | [`daemon`] | 4 | the loop: triggers, stop, watchdog, drain; the state of the previous process | metrics, notify, observe, signals, units |
//! | [`query`] | 4 | one query from the command line: table or JSON | answer, config, observe, signals, stdout, telemetry, units, words |
//! | [`config`] | 3 | flags and environment | images, status, telemetry, words |
//! | [`observe`] | 3 | one event: spans, stores queried concurrently, results reported | answer, images, metrics, status, units, words |
//! | [`images`] | 2 | an image store: the kinds, their transport, their errors | answer, words, work |
//! | [`exposition`] | 3 | hyper: `/metrics`, `/`, `/-/healthy`, `/-/ready`; limits; drain | activation, metrics, status, work |
//! | [`status`] | 2 | the status page: the last events, and its HTML | answer, metrics, units, words |
//! | [`telemetry`] | 2 | writes the log and exports finished traces | metrics, words, work |
//! | [`metrics`] | 1 | one table of gauges, the counters, the state kept over a restart | answer |
//! | [`activation`] | 1 | listening sockets, passed by systemd or bound | words |
//! | [`notify`] | 1 | notifications to systemd, and its descriptor store | words |
//! | `answer` | 0 | the common vocabulary: answers and errors of stores | – |
//! | [`process`] | 0 | the `process_*` collector, and the check for enough descriptors | – |
//! | [`signals`] | 0 | signal handling | – |
//! | [`stdout`] | 0 | writes to standard output | – |
//! | `units` | 0 | durations, ages and sizes for people | – |
//! | `words` | 0 | escapes and truncates text before it is shown | – |
//! | `work` | 0 | panics as errors, and tasks that end with their owner | – |
//!
//! Imports go down a level, never up or in circles; `tests/modules.rs` checks the sources against this table. What is `pub` is
//! for `main`, tests and tools; everything else is `pub(crate)`, so that the compiler finds unused code. The parser of lists is a
//! separate crate: [`scan`].

pub mod activation;
pub(crate) mod answer;
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
pub mod status;
pub mod stdout;
pub mod telemetry;
pub(crate) mod units;
pub(crate) mod words;
pub(crate) mod work;

/// The git revision the program was built from; empty when it was built outside a checkout.
pub const REVISION: &str = env!("BUILD_REVISION");
