//! The measurements, as a Markdown table for docs/systemd.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lab::load::{Load, Report, Tally};
use lab::machine::Machine;

const HEAD: &str = "\
| during | requests/s | new connections: lost of sent | longest wait | kept connections: lost of sent | retried |
| --- | --- | --- | --- | --- | --- |
";

/// Lines of the results by the action during the load.
type Texts = Mutex<BTreeMap<String, String>>;

static ROWS: Texts = Mutex::new(BTreeMap::new());
static NOTES: Texts = Mutex::new(BTreeMap::new());

/// Adds the result of this load to the table.
pub(super) fn add(action: &str, load: Load, report: &Report) {
    let Report { fresh, kept } = report;
    let lost_of_sent = |tally: &Tally| format!("{} of {}", tally.failed(), tally.sent());
    let row = format!(
        "| {action} | {} + {} | {} | {:.1} s | {} | {} |",
        load.rate,
        load.kept_rate,
        lost_of_sent(fresh),
        fresh.slowest().as_secs_f64(),
        lost_of_sent(kept),
        kept.retries
    );
    insert(&ROWS, action, row);
    write();
}

/// Adds a note below the table with the cost of this action.
pub(super) fn note(action: &str, cost: &Cost) {
    let note = format!(
        "{action}: attempts to start in {:.1} s: {}, lines in the journal: {}, processor time of the whole machine: {:.2} s.",
        cost.time.as_secs_f64(),
        cost.attempts,
        cost.lines,
        cost.processor.as_secs_f64()
    );
    insert(&NOTES, action, note);
    write();
}

fn insert(texts: &Texts, action: &str, text: String) {
    let mut texts = texts.lock().unwrap_or_else(PoisonError::into_inner);
    texts.insert(action.to_owned(), text);
}

fn write() {
    let lines = |texts: &Texts| {
        let texts = texts.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<String> = texts.values().cloned().collect();
        lines.join("\n")
    };
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("lost-scrapes.md");
    let text = format!("{HEAD}{}\n\n{}\n", lines(&ROWS), lines(&NOTES));
    fs::write(&path, text).expect("Cargo's target folder can be written to");
}

/// The cost of an action for the machine.
#[derive(Debug)]
pub(super) struct Cost {
    at: Instant,
    pub(super) time: Duration,
    pub(super) attempts: u32,
    pub(super) lines: u32,
    pub(super) processor: Duration,
}

impl Cost {
    pub(super) fn so_far(machine: &Machine) -> Self {
        let at = Instant::now();
        let count = |matches: &[&str]| {
            u32::try_from(machine.journal(matches).len()).expect("the count fits")
        };
        Self {
            at,
            time: Duration::ZERO,
            // systemd's "Starting …".
            attempts: count(&[
                "--unit=exp-rkt-grpc",
                "MESSAGE_ID=7d4958e842da4a758f6c1cdc7b36dcc5",
            ]),
            lines: count(&["--unit=exp-rkt-grpc", "--unit=exp-rkt-grpc.socket"]),
            processor: machine.processor_time(),
        }
    }

    pub(super) fn since(self, before: &Self) -> Self {
        Self {
            time: self.at - before.at,
            attempts: self.attempts - before.attempts,
            lines: self.lines - before.lines,
            processor: self.processor - before.processor,
            ..self
        }
    }
}
