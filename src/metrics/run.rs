//! How often the service has ended without being asked to, from one process to the next.
//!
//! systemd starts a service that has crashed again and again, for ever: it never becomes `failed`, so that it has to say itself what
//! happened. A process that finds its predecessor's record without the note that it was asked to end knows that it was not.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prometheus::IntCounter;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// An end after a run of this length begins a new row.
const LONG_RUN: Duration = Duration::from_secs(10 * 60);

/// One run of the service, from start to end. Copies share it.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    total: IntCounter,
    state: Arc<Mutex<State>>,
}

/// Unexpected ends without an expected one or a long run between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// How many; not 0.
    pub(crate) ends: u64,
    /// How long ago the first one was noticed.
    pub(crate) since: Duration,
}

#[derive(Debug)]
struct State {
    /// Since the host's start, as all times here: nobody sets that clock.
    began: Duration,
    asked_to_end: bool,
    row: Option<KeptRow>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct KeptRow {
    ends: u64,
    first: Duration,
}

impl Run {
    /// A run that begins now, after no other one.
    pub(super) fn begin(total: IntCounter) -> Self {
        Self {
            total,
            state: Arc::new(Mutex::new(State {
                began: since_boot(),
                asked_to_end: false,
                row: None,
            })),
        }
    }

    pub(super) fn total(&self) -> &IntCounter {
        &self.total
    }

    /// The end of this run is an expected one from now on.
    pub(crate) fn asked_to_end(&self) {
        self.lock().asked_to_end = true;
    }

    /// The unexpected ends before this run, if the last one was such.
    #[must_use]
    pub(crate) fn row(&self) -> Option<Row> {
        let state = self.lock();
        state.row.map(|row| Row {
            ends: row.ends,
            since: state.began.saturating_sub(row.first),
        })
    }

    /// What the next process is to know.
    pub(super) fn kept(&self) -> Value {
        let state = self.lock();
        let row = state.row.map(|row| json!([row.ends, row.first.as_secs()]));
        json!({
            "began": state.began.as_secs(),
            "asked_to_end": state.asked_to_end,
            "row": row,
            "total": self.total.get(),
        })
    }

    /// Takes up what the process before this one has kept; records of versions that kept nothing say nothing.
    pub(super) fn follow(&self, kept: &Value) {
        let Some(began) = kept["began"].as_u64().map(Duration::from_secs) else {
            return;
        };
        self.total.inc_by(kept["total"].as_u64().unwrap_or(0));
        if kept["asked_to_end"] == true {
            return;
        }
        self.total.inc();
        let mut state = self.lock();
        let was_long = state.began.saturating_sub(began) >= LONG_RUN;
        let row = KeptRow::read(&kept["row"]).filter(|_| !was_long);
        state.row = Some(match row {
            Some(row) => KeptRow {
                ends: row.ends.saturating_add(1),
                ..row
            },
            None => KeptRow {
                ends: 1,
                first: state.began,
            },
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeptRow {
    fn read(row: &Value) -> Option<Self> {
        Some(Self {
            ends: row[0].as_u64()?,
            first: Duration::from_secs(row[1].as_u64()?),
        })
    }
}

fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Duration, IntCounter, LONG_RUN, Row, Run};

    /// One that begins so long after the host's start.
    fn run(began: Duration) -> Run {
        let total = IntCounter::new("ends", "Ends.").expect("a constant name");
        let run = Run::begin(total);
        run.lock().began = began;
        run
    }

    /// The next one, a second later.
    fn after(run_before: &Run) -> Run {
        after_a_run_of(run_before, Duration::from_secs(1))
    }

    fn after_a_run_of(before: &Run, length: Duration) -> Run {
        let next = run(before.lock().began + length);
        next.follow(&before.kept());
        next
    }

    fn row(ends: u64, since: u64) -> Option<Row> {
        let since = Duration::from_secs(since);
        Some(Row { ends, since })
    }

    #[test]
    fn unexpected_ends_are_counted_in_a_row() {
        let first = run(Duration::from_secs(100));
        assert_eq!(first.row(), None);
        let second = after(&first);
        let third = after(&second);
        let fourth = after(&third);
        let rows = [second.row(), third.row(), fourth.row()];
        assert_eq!(rows, [row(1, 0), row(2, 1), row(3, 2)]);
        assert_eq!(fourth.total.get(), 3);
    }

    #[test]
    fn an_end_that_was_asked_for_ends_the_row_and_is_not_counted() {
        let crashed = after(&run(Duration::ZERO));
        crashed.asked_to_end();
        let next = after(&crashed);
        assert_eq!((next.row(), next.total.get()), (None, 1));
        assert_eq!(after(&next).row(), row(1, 0));
    }

    #[test]
    fn an_end_after_a_long_run_begins_a_row() {
        let crashed = after(&after(&run(Duration::ZERO)));
        let almost = LONG_RUN - Duration::from_secs(1);
        let next = after_a_run_of(&crashed, almost);
        assert_eq!(next.row(), row(3, almost.as_secs() + 1));
        let next = after_a_run_of(&crashed, LONG_RUN);
        assert_eq!((next.row(), next.total.get()), (row(1, 0), 3));
    }

    #[test]
    fn records_that_say_nothing_of_a_run_change_nothing() {
        for kept in ["null", "{}", r#"{"began": "yesterday"}"#] {
            let run = run(Duration::ZERO);
            run.follow(&serde_json::from_str(kept).expect("it is JSON"));
            assert_eq!((run.row(), run.total.get()), (None, 0), "{kept}");
        }
    }
}
