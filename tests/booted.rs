//! The service on booted machines, installed as its operators install it: see `tests/lab/sdbox`.
//!
//! | module | what is seen to hold |
//! | --- | --- |
//! | `containerd` | a real containerd is counted, with the drop-ins for it |
//! | `documents` | the commands of README.md and docs/ do what they show |
//! | `installation` | the package is installed, upgraded, removed, purged |
//! | `limits` | what the service may take of the machine, and takes |
//! | `log` | log lines arrive, whatever becomes of journald |
//! | `names` | names are looked up in what is there, not what was |
//! | `occasions` | queries on request, periodically, and when the store changes |
//! | `operator` | what an operator does to the service, and what they see then |
//! | `refused` | a configuration that is refused, until it is mended |
//! | `sandbox` | what the service cannot do, and that it can do its work all the same |
//! | `scrapes` | no scrape is lost, whatever happens to the service meanwhile |
//! | `state` | which numbers outlive the process |
//! | `watchdog` | what becomes of a service that hangs |
//! | `compiled` | programs in C that run there |
//! | `host` | a machine with the service on it |
//! | `package` | the package that is installed there |

#[path = "booted/compiled.rs"]
mod compiled;
#[path = "booted/containerd.rs"]
mod containerd;
#[path = "booted/documents.rs"]
mod documents;
#[path = "booted/host.rs"]
mod host;
#[path = "booted/installation.rs"]
mod installation;
#[path = "booted/limits.rs"]
mod limits;
#[path = "booted/log.rs"]
mod log;
#[path = "booted/names.rs"]
mod names;
#[path = "booted/occasions.rs"]
mod occasions;
#[path = "booted/operator.rs"]
mod operator;
#[path = "booted/package.rs"]
mod package;
#[path = "booted/refused.rs"]
mod refused;
#[path = "booted/sandbox.rs"]
mod sandbox;
#[path = "booted/scrapes.rs"]
mod scrapes;
#[path = "booted/state.rs"]
mod state;
#[path = "booted/watchdog.rs"]
mod watchdog;
