//! What came of many requests.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Counts by outcome.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests made.
    pub sent: usize,
    /// How often requests failed, by the reason.
    pub failures: BTreeMap<String, usize>,
    /// From when to when those that failed were waited for.
    pub lost: Vec<Range<Instant>>,
    /// Requests that were repeated on a new connection, because an idle one had been closed.
    pub asked_again: usize,
    /// The longest that a client waited for its answer.
    pub slowest: Duration,
}

/// What came of one request.
pub(super) struct Asked {
    outcome: Result<(), String>,
    waited: Range<Instant>,
}

impl Asked {
    pub(super) async fn by(asking: impl Future<Output = Result<(), String>>) -> Self {
        let began = Instant::now();
        let outcome = asking.await;
        Self {
            outcome,
            waited: began..Instant::now(),
        }
    }
}

impl Tally {
    /// Requests without a good answer.
    pub fn failed(&self) -> usize {
        self.failures.values().sum()
    }

    pub(super) fn count(&mut self, Asked { outcome, waited }: Asked) {
        self.sent += 1;
        self.slowest = self.slowest.max(waited.end - waited.start);
        if let Err(why) = outcome {
            *self.failures.entry(why).or_default() += 1;
            self.lost.push(waited);
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.asked_again += other.asked_again;
        self.slowest = self.slowest.max(other.slowest);
        self.lost.extend(other.lost);
        for (why, count) in other.failures {
            *self.failures.entry(why).or_default() += count;
        }
    }
}
