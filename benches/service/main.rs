//! Whole processes: the service beside other clients of the store and beside node_exporter. See README.md.
//!
//! | module | what it is |
//! | --- | --- |
//! | `queries` | time and memory of a query, by the store's size |
//! | `scrapes`, `scrapes/load` | how many a second, how fast, at what cost |
//! | `start` | from exec to the first scrape, answered through a queued connection |
//! | `memory` | idle, after many scrapes, after many queries |
//! | `idle` | wake-ups of a service that nobody asks for anything |
//! | `held`, `held/*` | scrapes while others hold connections |
//! | `trigger` | from SIGQUIT to the new number in a scrape |
//! | `clients` | the other clients of the store; this program again, or Python |
//! | `peers` | the programs that are measured |
//! | `usage` | what the kernel says of a process |
//! | `report` | medians, bars, tables |

mod clients;
mod held;
mod idle;
mod memory;
mod peers;
mod queries;
mod report;
mod scrapes;
mod start;
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
        // cargo adds --bench.
        [program, python, "--bench"] | [program, python] => measure(program, python),
        [program, python, held::PART, "--bench"] | [program, python, held::PART] => {
            measure_held(program, python);
        }
        _ => {
            eprintln!(
                "This needs the service's program and a Python that may have grpcio: make bench"
            );
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn measure(program: &str, python: &str) {
    let peers = Peers::find(program, python);
    let mut report = Report::begin();
    // Sleeps for a minute beside everything else.
    let idle = idle::begin(&peers);
    queries::measure(&peers, &mut report);
    start::measure(&peers, &mut report);
    scrapes::measure(&peers, &mut report);
    memory::measure(&peers, &mut report);
    trigger::measure(&peers, &mut report);
    idle.measure(&mut report);
    peers.measure_binary(&mut report);
    held::measure(&peers, &mut report);
    report.finish();
}

fn measure_held(program: &str, python: &str) {
    let peers = Peers::find(program, python);
    let mut report = Report::begin();
    held::measure(&peers, &mut report);
    report.finish();
}
