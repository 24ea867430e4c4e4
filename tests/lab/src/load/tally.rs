//! What came of many requests.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Counts by outcome.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How long each answer took.
    pub latencies: Vec<Duration>,
    /// How often requests failed, by the reason.
    pub failures: BTreeMap<String, usize>,
    /// From when to when those that failed were waited for.
    pub lost: Vec<Range<Instant>>,
    /// Requests that were repeated on a new connection, because an idle one had been closed.
    pub asked_again: usize,
}

/// What came of one request.
pub struct Asked {
    outcome: Result<(), String>,
    waited: Range<Instant>,
}

impl Asked {
    /// Asks, and takes the time.
    pub async fn by(asking: impl Future<Output = Result<(), String>>) -> Self {
        let began = Instant::now();
        let outcome = asking.await;
        Self {
            outcome,
            waited: began..Instant::now(),
        }
    }
}

impl Tally {
    /// Requests made.
    pub fn sent(&self) -> usize {
        self.latencies.len() + self.lost.len()
    }

    /// Requests without a good answer.
    pub fn failed(&self) -> usize {
        self.lost.len()
    }

    /// The longest that a client waited, answered or not.
    pub fn slowest(&self) -> Duration {
        let lost = self.lost.iter().map(|waited| waited.end - waited.start);
        let all = self.latencies.iter().copied().chain(lost);
        all.max().unwrap_or_default()
    }

    /// Counts one request.
    pub fn count(&mut self, Asked { outcome, waited }: Asked) {
        match outcome {
            Ok(()) => self.latencies.push(waited.end - waited.start),
            Err(why) => {
                *self.failures.entry(why).or_default() += 1;
                self.lost.push(waited);
            }
        }
    }

    /// Counts those of another client.
    pub fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.lost.extend(other.lost);
        self.asked_again += other.asked_again;
        for (why, count) in other.failures {
            *self.failures.entry(why).or_default() += count;
        }
    }
}
