//! Exemplars of the query duration: for each bucket the last query whose trace is sampled, so that a graph leads to a trace.

use std::{collections::HashMap, fmt};

use super::store::{Query, now};

/// The exemplars of a histogram, by store.
#[derive(Debug)]
pub(super) struct Exemplars {
    /// The upper bounds of the buckets; without `+Inf`.
    bounds: &'static [f64],
    stores: HashMap<String, Vec<Option<Exemplar>>>,
}

/// A query, as an exemplar of its bucket.
#[derive(Clone, Debug)]
pub(super) struct Exemplar {
    trace_id: String,
    /// Duration of the query, in seconds.
    value: f64,
    /// When it ended, in seconds since the epoch.
    at: f64,
}

impl Exemplars {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            stores: HashMap::new(),
        }
    }

    /// A query that has just ended replaces the exemplar of its bucket, if its trace is sampled.
    pub(super) fn add(&mut self, store: &str, query: Query<'_>) {
        let Some(trace_id) = query.trace_id else {
            return;
        };
        let value = query.duration.as_secs_f64();
        let buckets = self.stores.entry(store.to_owned());
        let buckets = buckets.or_insert_with(|| vec![None; self.bounds.len() + 1]);
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        buckets[bucket] = Some(Exemplar {
            trace_id: trace_id.to_owned(),
            value,
            at: now(),
        });
    }

    /// In the order of the buckets, the one of `+Inf` last; empty if there are none.
    pub(super) fn of(&self, store: &str) -> &[Option<Exemplar>] {
        self.stores.get(store).map_or(&[], Vec::as_slice)
    }
}

/// In OpenMetrics' syntax, as it follows the `#` of a bucket.
impl fmt::Display for Exemplar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            value,
            at,
        } = self;
        write!(f, "{{trace_id=\"{trace_id}\"}} {value} {at:.3}")
    }
}
