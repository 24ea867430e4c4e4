//! The facts of one store, and the metrics that they move.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    families::{Ended, IMAGES, LAST_QUERY, LAST_SUCCESS, Outcome, UP},
    gauges::Known,
    stores::Stores,
};
use crate::answer::{Answer, Code};

/// What the last queries of a store came to, this process's or an earlier one's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LastQueries {
    /// Whether the last completed query succeeded.
    pub(crate) up: bool,
    /// When that was, in seconds since the epoch.
    pub(crate) asked: f64,
    /// The images of the last good answer.
    pub(crate) images: Option<f64>,
    /// When that was, in seconds since the epoch.
    pub(crate) answered: Option<f64>,
}

/// Moves the metrics of one store. Copies are of the same store.
#[derive(Clone, Debug)]
pub(crate) struct StoreMetrics {
    pub(super) name: String,
    /// Kind and address: whose numbers they are, whatever it is called.
    pub(super) url: String,
    stores: Stores,
}

impl StoreMetrics {
    pub(super) fn new(name: &str, url: &str, stores: Stores) -> Self {
        stores.add(name, url);
        Self {
            name: name.to_owned(),
            url: url.to_owned(),
            stores,
        }
    }

    /// The store answered within `duration`. What it said of itself with an earlier answer is not of this one, and goes.
    pub(crate) fn answered(&self, answer: &Answer, duration: Duration) {
        self.stores.count(&self.name, None, duration);
        self.change(|known| {
            known.ended(Ended {
                at: now(),
                outcome: Outcome::Answered,
            });
            known.answered(answer);
        });
    }

    /// The same answer, with what the store has said of itself since.
    pub(crate) fn described(&self, answer: &Answer) {
        self.change(|known| known.answered(answer));
    }

    /// The store did not answer, or not rightly. The last good numbers stay, with their timestamp.
    pub(crate) fn failed(&self, code: Code, duration: Duration) {
        self.stores.count(&self.name, Some(code), duration);
        self.change(|known| {
            known.ended(Ended {
                at: now(),
                outcome: Outcome::Failed,
            });
        });
    }

    /// What its last queries came to; `None` before the first one.
    #[must_use]
    pub(crate) fn last_queries(&self) -> Option<LastQueries> {
        self.stores.read(&self.name, |known| {
            Some(LastQueries {
                up: known.value(UP)? == 1.0,
                asked: known.value(LAST_QUERY)?,
                images: known.value(IMAGES),
                answered: known.value(LAST_SUCCESS),
            })
        })?
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&Known) -> T) -> Option<T> {
        self.stores.read(&self.name, read)
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Known)) {
        self.stores.change(&self.name, change);
    }
}

/// In seconds since the epoch.
fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}
