//! The service on booted machines, installed as its operators install it: see `tests/lab/sdbox`.
//!
//! | module | what is seen to hold |
//! | --- | --- |
//! | `operator` | what an operator does to the service, and what they see then |
//! | `scrapes` | no scrape is lost, whatever happens to the service meanwhile |
//! | `sandbox` | what the service cannot do, and that it can do its work all the same |
//! | `state` | which numbers outlive the process |
//! | `watchdog` | what becomes of a service that hangs |
//! | `host` | a machine with the service on it |

#[path = "booted/host.rs"]
mod host;
#[path = "booted/operator.rs"]
mod operator;
#[path = "booted/scrapes.rs"]
mod scrapes;
