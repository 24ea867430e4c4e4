//! The results of many requests.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Counts by outcome.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// The time that each answered request took.
    pub latencies: Vec<Duration>,
    /// The number of failed requests, by reason.
    pub failures: BTreeMap<String, usize>,
    /// The time from start to end of each failed request.
    pub lost: Vec<Range<Instant>>,
    /// Requests that were repeated on a new connection, because the server had closed an idle one.
    pub retries: usize,
}

/// The result of one request.
pub struct Exchange {
    outcome: Result<(), String>,
    waited: Range<Instant>,
}

impl Exchange {
    /// Runs the request and measures its time.
    pub async fn of(request: impl Future<Output = Result<(), String>>) -> Self {
        let began = Instant::now();
        let outcome = request.await;
        Self {
            outcome,
            waited: began..Instant::now(),
        }
    }
}

impl Tally {
    /// All requests.
    pub fn sent(&self) -> usize {
        self.latencies.len() + self.lost.len()
    }

    /// Failed requests.
    pub fn failed(&self) -> usize {
        self.lost.len()
    }

    /// The longest time that a client waited, with or without success.
    pub fn slowest(&self) -> Duration {
        let lost = self.lost.iter().map(|waited| waited.end - waited.start);
        let all = self.latencies.iter().copied().chain(lost);
        all.max().unwrap_or_default()
    }

    /// Counts one request.
    pub fn count(&mut self, Exchange { outcome, waited }: Exchange) {
        match outcome {
            Ok(()) => self.latencies.push(waited.end - waited.start),
            Err(why) => {
                *self.failures.entry(why).or_default() += 1;
                self.lost.push(waited);
            }
        }
    }

    /// Adds the results of another client.
    pub fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.lost.extend(other.lost);
        self.retries += other.retries;
        for (why, count) in other.failures {
            *self.failures.entry(why).or_default() += count;
        }
    }
}
