//! The installed package on machines that boot systemd: see `tests/lab/sdbox`. `SUITE=trixie` boots Debian 13 instead of 12; no test
//! is for one of them only.
//!
//! | module | what it tests or provides |
//! | --- | --- |
//! | `containerd` | counting the images of a real containerd, with the shipped drop-ins |
//! | `documents` | the commands of README.md and docs/, and their output |
//! | `installation` | installing, upgrading, removing and purging the package |
//! | `jaeger` | a real Jaeger receives the traces |
//! | `limits` | the resource limits of the unit, and that the service stays within them |
//! | `log` | log lines reach the journal after journald restarts, and in a log namespace |
//! | `names` | host names are looked up in the current `/etc/hosts` and `/etc/resolv.conf` |
//! | `occasions` | queries on request, by a timer, and when the store changes |
//! | `operator` | everyday operation: start, trigger, reconfigure, stop, and what systemctl and the journal show |
//! | `refused` | a refused configuration, until it is corrected |
//! | `prometheus` | Debian's Prometheus scrapes the service |
//! | `released` | upgrades from version 0.1.0, and downgrades to it |
//! | `sandbox` | the unit's sandbox denies everything that the service does not need |
//! | `scrapes` | no scrape is lost during restarts, crashes, upgrades and reloads |
//! | `state` | the numbers that survive a restart or a crash |
//! | `units` | systemd verifies the units and rates their sandboxes |
//! | `watchdog` | systemd's watchdog leaves a service alone whose stores hang |
//! | `compiled` | helper programs in C |
//! | `host` | a booted machine with the package installed |
//! | `package` | the package under test |

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
#[path = "booted/jaeger.rs"]
mod jaeger;
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
#[path = "booted/prometheus.rs"]
mod prometheus;
#[path = "booted/refused.rs"]
mod refused;
#[path = "booted/released.rs"]
mod released;
#[path = "booted/sandbox.rs"]
mod sandbox;
#[path = "booted/scrapes.rs"]
mod scrapes;
#[path = "booted/state.rs"]
mod state;
#[path = "booted/units.rs"]
mod units;
#[path = "booted/watchdog.rs"]
mod watchdog;
