//! What came of many requests.

use std::collections::BTreeMap;
use std::time::Duration;

/// Counts by outcome.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests made.
    pub sent: usize,
    /// How often requests failed, by the reason.
    pub failures: BTreeMap<String, usize>,
    /// Requests that were repeated on a new connection, because an idle one had been closed.
    pub asked_again: usize,
    /// The longest that a client waited for its answer.
    pub slowest: Duration,
}

impl Tally {
    /// Requests without a good answer.
    pub fn failed(&self) -> usize {
        self.failures.values().sum()
    }

    pub(super) fn count(&mut self, (outcome, took): (Result<(), String>, Duration)) {
        self.sent += 1;
        self.slowest = self.slowest.max(took);
        if let Err(why) = outcome {
            *self.failures.entry(why).or_default() += 1;
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.asked_again += other.asked_again;
        self.slowest = self.slowest.max(other.slowest);
        for (why, count) in other.failures {
            *self.failures.entry(why).or_default() += count;
        }
    }
}
