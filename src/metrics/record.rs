//! The gauges, and the run of the service, as a small versioned record that the next process restores.
//!
//! JSON: `{"version": 2, "stores": [{"name": NAME, "url": KIND+URL, "gauges": [[FAMILY, [LABEL…], VALUE], …]}, …], "run": RUN}`.
//! Numbers belong to a kind and address, not to a name: the name is the kind by default, whatever the address. Counters are not
//! recorded: they start at 0 in each process, as Prometheus expects. The counter of unexpected ends is, because a process cannot
//! count its own.

use serde_json::{Value, json};
use thiserror::Error;

use super::{
    families::Family,
    gauges::{Series, StoreGauges},
    run::Run,
    store::StoreMetrics,
};

/// The version that this program writes. It rejects higher ones.
const VERSION: u64 = 2;

/// The version of 0.1.0, which identifies stores by name alone.
const WITHOUT_ADDRESSES: u64 = 1;

/// Why a record cannot be used.
#[derive(Debug, Error)]
pub enum RecordError {
    /// It is not JSON.
    #[error("it is not JSON")]
    Syntax(#[from] serde_json::Error),
    /// It is JSON, but not of the expected form.
    #[error("it is not a list of stores with their gauges")]
    Form,
    /// Version 0.1.0 of the program wrote it.
    #[error("it has version 1, which lacks the addresses of the stores")]
    WithoutAddresses,
    /// A later version of the program wrote it.
    #[error("it has version {0}, and this program reads {VERSION}")]
    Version(u64),
}

/// A store in a record.
struct KeptStore<'a> {
    name: &'a str,
    url: &'a str,
    /// `None` for families that this version does not have.
    series: Vec<Option<Series>>,
}

/// The state that outlives the process. Copies share it.
#[derive(Clone, Debug)]
pub struct Kept {
    stores: Vec<StoreMetrics>,
    run: Run,
}

impl Kept {
    /// The state of `stores` and of this `run`.
    pub(crate) fn new(stores: Vec<StoreMetrics>, run: Run) -> Self {
        Self { stores, run }
    }

    pub(crate) fn run(&self) -> &Run {
        &self.run
    }

    /// The whole state as a record, for the next process to [`restore`](Self::restore).
    #[must_use]
    pub fn record(&self) -> Vec<u8> {
        record(&self.stores, &self.run)
    }

    /// Like [`record`](Self::record), but without the stores.
    pub(crate) fn short_record(&self) -> Vec<u8> {
        record([], &self.run)
    }

    /// Restores the record of an earlier process, and returns the kinds and addresses of stores that are no longer configured:
    /// their numbers are dropped.
    ///
    /// # Errors
    ///
    /// When the record cannot be used; nothing is restored then.
    pub fn restore(&self, record: &[u8]) -> Result<Vec<String>, RecordError> {
        restore(record, &self.stores, &self.run)
    }
}

fn record<'a>(stores: impl IntoIterator<Item = &'a StoreMetrics>, run: &Run) -> Vec<u8> {
    let stores: Vec<Value> = stores
        .into_iter()
        .map(|store| {
            let gauges = store.read(gauges_to_json);
            json!({ "name": store.name, "url": store.url, "gauges": gauges })
        })
        .collect();
    json!({ "version": VERSION, "stores": stores, "run": run.kept() })
        .to_string()
        .into_bytes()
}

/// Sets the gauges of each of `stores` to those recorded for its kind and address, whatever its name was.
///
/// If several recorded stores have the same kind and address, a store prefers the one of its own name. Numbers without a store are
/// dropped, and their kinds and addresses returned.
fn restore<'a>(
    record: &[u8],
    stores: impl IntoIterator<Item = &'a StoreMetrics>,
    run: &Run,
) -> Result<Vec<String>, RecordError> {
    let whole: Value = serde_json::from_slice(record)?;
    match whole["version"].as_u64() {
        Some(VERSION) => {}
        Some(WITHOUT_ADDRESSES) => return Err(RecordError::WithoutAddresses),
        Some(version) => return Err(RecordError::Version(version)),
        None => return Err(RecordError::Form),
    }
    let mut kept: Vec<KeptStore<'_>> = whole["stores"]
        .as_array()
        .and_then(|stores| stores.iter().map(KeptStore::read).collect())
        .ok_or(RecordError::Form)?;
    // A store that was never queried has no numbers to restore or to drop.
    kept.retain(|kept| !kept.series.is_empty());
    let mut waiting: Vec<&StoreMetrics> = stores.into_iter().collect();
    kept.retain(|kept| !kept.restore_into(&mut waiting, |store| store.name == kept.name));
    kept.retain(|kept| !kept.restore_into(&mut waiting, |_| true));
    run.follow(&whole["run"]);
    Ok(kept.iter().map(|kept| kept.url.to_owned()).collect())
}

impl<'a> KeptStore<'a> {
    fn read(store: &'a Value) -> Option<Self> {
        let gauges = store["gauges"].as_array()?;
        let series = gauges.iter().map(read_series).collect::<Option<Vec<_>>>()?;
        Some(Self {
            name: store["name"].as_str()?,
            url: store["url"].as_str()?,
            series,
        })
    }

    /// Restores the numbers into the first of the `waiting` stores that has this kind and address and is `eligible`, and removes
    /// that store from `waiting`.
    fn restore_into(
        &self,
        waiting: &mut Vec<&StoreMetrics>,
        eligible: impl Fn(&StoreMetrics) -> bool,
    ) -> bool {
        let place = waiting
            .iter()
            .position(|store| store.url == self.url && eligible(store));
        let Some(store) = place.map(|place| waiting.remove(place)) else {
            return false;
        };
        store.change(|gauges| {
            for series in self.series.iter().flatten() {
                gauges.restore(series.clone());
            }
        });
        true
    }
}

fn gauges_to_json(gauges: &StoreGauges) -> Vec<Value> {
    let series = gauges.series().iter();
    series
        .map(|series| json!([series.family.name, series.labels, series.value]))
        .collect()
}

/// `None` if the form is wrong; `Some(None)` if the family is unknown.
fn read_series(gauge: &Value) -> Option<Option<Series>> {
    let name = gauge[0].as_str()?;
    let labels = gauge[1].as_array()?.iter();
    let labels = labels.map(|label| Some(label.as_str()?.to_owned()));
    let labels = labels.collect::<Option<_>>()?;
    let value = gauge[2].as_f64()?;
    Some(Family::named(name).map(|family| Series {
        family,
        labels,
        value,
    }))
}

#[cfg(test)]
mod tests;
