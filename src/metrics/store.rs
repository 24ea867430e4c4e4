//! The metrics of one store: updated by the results of its queries.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    families::{
        Ended, IMAGES, LAST_QUERY, LAST_SUCCESS, LEFT, NAMES, PINNED, RUNTIME, SIZE, UNTAGGED,
        UNUSED, UP, WARNING,
    },
    gauges::StoreGauges,
    stores::Stores,
};
use crate::answer::{Answer, Code};

/// The results of a store's last queries, by this process or an earlier one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LastQueries {
    /// Whether the last completed query succeeded.
    pub(crate) up: bool,
    /// Its end.
    pub(crate) queried: SystemTime,
    /// Number of images in the last good answer.
    pub(crate) images: Option<f64>,
    /// Number of their names.
    pub(crate) names: Option<f64>,
    /// Whether it came with a warning.
    pub(crate) warning: bool,
    /// Those without a tag.
    pub(crate) untagged: Option<f64>,
    /// Those that the runtime keeps.
    pub(crate) pinned: Option<f64>,
    /// Those that no container uses.
    pub(crate) unused: Option<f64>,
    /// Sum of their sizes.
    pub(crate) size_bytes: Option<f64>,
    /// Bytes left on each of their file systems, by mount point.
    pub(crate) left: Vec<(String, f64)>,
    /// Name and version of the runtime that gave the answer.
    pub(crate) runtime: Option<String>,
    /// Time of the answer.
    pub(crate) answered: Option<SystemTime>,
}

/// A completed query.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Query<'a> {
    /// From connecting to the last byte of the list, or to the failure.
    pub(crate) duration: Duration,
    /// The id of its trace in hexadecimal, if the trace is sampled.
    pub(crate) trace_id: Option<&'a str>,
}

/// The metrics of one store. Copies share them.
#[derive(Clone, Debug)]
pub(crate) struct StoreMetrics {
    pub(super) name: String,
    /// Kind and address, which identify the store whatever its name.
    pub(super) url: String,
    stores: Stores,
}

impl StoreMetrics {
    pub(super) fn new(name: &str, url: String, stores: Stores) -> Self {
        Self {
            name: name.to_owned(),
            url,
            stores,
        }
    }

    /// The store has answered. Numbers that only an earlier answer had are removed.
    pub(crate) fn answered(&self, answer: &Answer, query: Query<'_>) {
        self.stores.count(&self.name, None, query);
        self.change(|gauges| {
            gauges.ended(Ended {
                at: now(),
                answered: true,
            });
            gauges.answered(answer);
        });
    }

    /// Updates the numbers once the side calls have completed the answer.
    pub(crate) fn described(&self, answer: &Answer) {
        self.change(|gauges| gauges.answered(answer));
    }

    /// The query has failed. The last good numbers stay, with their timestamp.
    pub(crate) fn failed(&self, code: Code, query: Query<'_>) {
        self.stores.count(&self.name, Some(code), query);
        self.change(|gauges| {
            gauges.ended(Ended {
                at: now(),
                answered: false,
            });
        });
    }

    /// The results of the last queries; `None` before the first one.
    pub(crate) fn last_queries(&self) -> Option<LastQueries> {
        let last_queries = |gauges: &StoreGauges| {
            Some(LastQueries {
                up: gauges.value(UP)? == 1.0,
                queried: time(gauges.value(LAST_QUERY)?),
                images: gauges.value(IMAGES),
                names: gauges.value(NAMES),
                warning: gauges.value(WARNING) == Some(1.0),
                untagged: gauges.value(UNTAGGED),
                pinned: gauges.value(PINNED),
                unused: gauges.value(UNUSED),
                left: gauges
                    .labelled(LEFT)
                    .map(|(labels, left)| (labels.join(" "), left))
                    .collect(),
                size_bytes: gauges.value(SIZE),
                runtime: gauges
                    .labelled(RUNTIME)
                    .next()
                    .map(|(labels, _)| runtime(labels)),
                answered: gauges.value(LAST_SUCCESS).map(time),
            })
        };
        self.read(last_queries).flatten()
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&StoreGauges) -> T) -> Option<T> {
        self.stores.read(&self.name, read)
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut StoreGauges)) {
        self.stores.change(&self.name, change);
    }
}

/// Name and version, from the labels of the runtime.
fn runtime(labels: &[String]) -> String {
    labels[..labels.len().min(2)]
        .join(" ")
        .trim_end()
        .to_owned()
}

/// The time, from seconds since the epoch.
fn time(seconds: f64) -> SystemTime {
    let since_epoch = Duration::try_from_secs_f64(seconds).ok();
    let time = since_epoch.and_then(|since_epoch| UNIX_EPOCH.checked_add(since_epoch));
    time.unwrap_or(UNIX_EPOCH)
}

/// In seconds since the epoch.
pub(super) fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}
