//! Counts how often the service has ended unexpectedly, across restarts.
//!
//! systemd restarts a crashed service without limit, so that it never becomes `failed`: the service itself has to report crashes.
//! If the record of the previous process does not say that it was asked to end, it ended unexpectedly.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prometheus::IntCounter;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// An unexpected end after a run of at least this length begins a new streak.
const LONG_RUN: Duration = Duration::from_secs(10 * 60);

/// One run of the service, from start to end. Copies share it.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    total: IntCounter,
    state: Arc<Mutex<State>>,
}

/// Unexpected ends, with no expected end and no long run between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Streak {
    /// Number of ends, at least 1.
    pub(crate) ends: u64,
    /// Time since the first one was detected.
    pub(crate) since: Duration,
}

#[derive(Debug)]
struct State {
    /// Time since boot, like all times here: that clock cannot be set.
    began: Duration,
    asked_to_end: bool,
    streak: Option<KeptStreak>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct KeptStreak {
    ends: u64,
    first: Duration,
}

impl Run {
    /// A run that begins now, without a previous one.
    pub(super) fn begin(total: IntCounter) -> Self {
        Self {
            total,
            state: Arc::new(Mutex::new(State {
                began: since_boot(),
                asked_to_end: false,
                streak: None,
            })),
        }
    }

    pub(super) fn total(&self) -> &IntCounter {
        &self.total
    }

    /// Marks the end of this run as expected.
    pub(crate) fn asked_to_end(&self) {
        self.lock().asked_to_end = true;
    }

    /// The unexpected ends before this run; `None` if the previous run ended as expected.
    pub(crate) fn streak(&self) -> Option<Streak> {
        let state = self.lock();
        state.streak.map(|streak| Streak {
            ends: streak.ends,
            since: state.began.saturating_sub(streak.first),
        })
    }

    /// The state for the next process.
    pub(super) fn kept(&self) -> Value {
        let state = self.lock();
        let streak = state
            .streak
            .map(|streak| json!([streak.ends, streak.first.as_secs()]));
        json!({
            "began": state.began.as_secs(),
            "asked_to_end": state.asked_to_end,
            "streak": streak,
            "total": self.total.get(),
        })
    }

    /// Continues from the record of the previous process. Records of versions that did not keep runs change nothing.
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
        let streak = KeptStreak::read(&kept["streak"]).filter(|_| !was_long);
        state.streak = Some(match streak {
            Some(streak) => KeptStreak {
                ends: streak.ends.saturating_add(1),
                ..streak
            },
            None => KeptStreak {
                ends: 1,
                first: state.began,
            },
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeptStreak {
    fn read(streak: &Value) -> Option<Self> {
        Some(Self {
            ends: streak[0].as_u64()?,
            first: Duration::from_secs(streak[1].as_u64()?),
        })
    }
}

fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Duration, IntCounter, LONG_RUN, Run, Streak};

    /// A run that begins at this time since boot.
    fn run(began: Duration) -> Run {
        let total = IntCounter::new("ends", "Ends.").expect("a constant name");
        let run = Run::begin(total);
        run.lock().began = began;
        run
    }

    /// The next run, which begins a second later.
    fn after(run_before: &Run) -> Run {
        after_a_run_of(run_before, Duration::from_secs(1))
    }

    fn after_a_run_of(before: &Run, length: Duration) -> Run {
        let next = run(before.lock().began + length);
        next.follow(&before.kept());
        next
    }

    fn streak(ends: u64, since: u64) -> Option<Streak> {
        let since = Duration::from_secs(since);
        Some(Streak { ends, since })
    }

    #[test]
    fn unexpected_ends_add_to_the_streak() {
        let first = run(Duration::from_secs(100));
        assert_eq!(first.streak(), None);
        let second = after(&first);
        let third = after(&second);
        let fourth = after(&third);
        let streaks = [second.streak(), third.streak(), fourth.streak()];
        assert_eq!(streaks, [streak(1, 0), streak(2, 1), streak(3, 2)]);
        assert_eq!(fourth.total.get(), 3);
    }

    #[test]
    fn an_end_that_was_asked_for_ends_the_streak_and_is_not_counted() {
        let crashed = after(&run(Duration::ZERO));
        crashed.asked_to_end();
        let next = after(&crashed);
        assert_eq!((next.streak(), next.total.get()), (None, 1));
        assert_eq!(after(&next).streak(), streak(1, 0));
    }

    #[test]
    fn an_end_after_a_long_run_begins_a_streak() {
        let crashed = after(&after(&run(Duration::ZERO)));
        let almost = LONG_RUN - Duration::from_secs(1);
        let next = after_a_run_of(&crashed, almost);
        assert_eq!(next.streak(), streak(3, almost.as_secs() + 1));
        let next = after_a_run_of(&crashed, LONG_RUN);
        assert_eq!((next.streak(), next.total.get()), (streak(1, 0), 3));
    }

    #[test]
    fn records_without_a_run_change_nothing() {
        for kept in ["null", "{}", r#"{"began": "yesterday"}"#] {
            let run = run(Duration::ZERO);
            run.follow(&serde_json::from_str(kept).expect("it is JSON"));
            assert_eq!((run.streak(), run.total.get()), (None, 0), "{kept}");
        }
    }
}
