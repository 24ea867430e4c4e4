//! Compares the service as a whole process with other clients of the store and with node_exporter. See README.md.
//!
//! | module | contents |
//! | --- | --- |
//! | `queries` | time and memory of a query, by the store's size |
//! | `kinds` | time and memory of a query of a million, by the store's kind |
//! | `scrapes`, `scrapes/load` | scrapes per second, their latency and CPU time |
//! | `start` | time from exec to the first scrape, over a queued connection |
//! | `memory` | memory when idle, after many scrapes, after many queries |
//! | `idle` | wake-ups of an idle service |
//! | `held`, `held/*` | scrapes while other clients hold connections |
//! | `store` | processor time of a real containerd for a query |
//! | `trigger` | time from SIGQUIT to the new number in a scrape |
//! | `clients` | the other clients of the store: this program again, or Python |
//! | `peers` | the measured programs |
//! | `usage` | the kernel's figures about a process |
//! | `report` | medians, bars, tables |

mod clients;
mod held;
mod idle;
mod kinds;
mod memory;
mod peers;
mod queries;
mod report;
mod scrapes;
mod start;
mod store;
mod trigger;
mod usage;

use std::{env, process::ExitCode};

use peers::Peers;
use report::Report;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [clients::ROLE, reading, url] => clients::serve(reading, url),
        [start::ROLE, program, ref arguments @ ..] => start::become_activated(program, arguments),
        // Cargo appends --bench.
        [program, python, "--bench"] | [program, python] => measure(program, python),
        [program, python, held::PART, "--bench"] | [program, python, held::PART] => {
            measure_part(program, python, held::measure);
        }
        [program, python, kinds::PART, "--bench"] | [program, python, kinds::PART] => {
            measure_part(program, python, kinds::measure);
        }
        [program, python, store::PART, "--bench"] | [program, python, store::PART] => {
            measure_part(program, python, store::measure);
        }
        _ => {
            eprintln!(
                "usage: service PROGRAM PYTHON [{}|{}|{}]; `make bench` passes both",
                held::PART,
                kinds::PART,
                store::PART
            );
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn measure(program: &str, python: &str) {
    let peers = Peers::find(program, python);
    let mut report = Report::begin();
    // Idles for at least a minute while the other parts run.
    let idle = idle::begin(&peers);
    queries::measure(&peers, &mut report);
    kinds::measure(&peers, &mut report);
    start::measure(&peers, &mut report);
    scrapes::measure(&peers, &mut report);
    memory::measure(&peers, &mut report);
    trigger::measure(&peers, &mut report);
    store::measure(&peers, &mut report);
    idle.measure(&mut report);
    peers.measure_binary(&mut report);
    held::measure(&peers, &mut report);
    report.finish();
}

fn measure_part(program: &str, python: &str, measure: fn(&Peers, &mut Report)) {
    let peers = Peers::find(program, python);
    let mut report = Report::begin();
    measure(&peers, &mut report);
    report.finish();
}
