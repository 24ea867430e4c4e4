//! The gauges, and how the service has ended, as a small versioned record, to outlive the process.
//!
//! JSON: `{"version": 2, "stores": [{"name": NAME, "url": KIND+URL, "gauges": [[FAMILY, [LABEL…], VALUE], …]}, …], "run": RUN}`.
//! Numbers belong to a store's kind and address, not to its name: that is the kind by default, and stays while the address changes.
//! Counters are not in it: they count what one process has seen, and Prometheus knows how to deal with their reset. The one of ends
//! is, because no process sees its own.

use serde_json::{Value, json};
use thiserror::Error;

use super::{
    families::Family,
    gauges::{Known, Series},
    run::Run,
    store::StoreMetrics,
};

/// Written by this version of the program; higher ones are not read.
const VERSION: u64 = 2;

/// Of 0.1.0: by the stores' names alone.
const WITHOUT_ADDRESSES: u64 = 1;

/// Why a record is of no use.
#[derive(Debug, Error)]
pub enum RecordError {
    /// It is no JSON.
    #[error("it is not JSON")]
    Syntax(#[from] serde_json::Error),
    /// It is JSON, but not of this form.
    #[error("it is not a list of stores with their gauges")]
    Form,
    /// Version 0.1.0 of the program has written it.
    #[error("it has version 1, which does not say at which addresses its stores were")]
    WithoutAddresses,
    /// A later version of the program has written it.
    #[error("it has version {0}, and this program reads {VERSION}")]
    Version(u64),
}

/// What a record says of one store.
struct KeptStore<'a> {
    name: &'a str,
    url: &'a str,
    series: Vec<Series>,
}

/// What outlives the process. Copies are of the same stores and run.
#[derive(Clone, Debug)]
pub struct Kept {
    stores: Vec<StoreMetrics>,
    run: Run,
}

impl Kept {
    /// What is known of `stores`, and how this `run` ends.
    #[must_use]
    pub(crate) fn new(stores: Vec<StoreMetrics>, run: Run) -> Self {
        Self { stores, run }
    }

    /// The run of the service that this process is.
    #[must_use]
    pub(crate) fn run(&self) -> &Run {
        &self.run
    }

    /// All of it, for the next process to [`restore`](Self::restore).
    #[must_use]
    pub fn record(&self) -> Vec<u8> {
        record(&self.stores, &self.run)
    }

    /// As [`record`](Self::record), without what is known of the stores.
    #[must_use]
    pub(crate) fn short_record(&self) -> Vec<u8> {
        record([], &self.run)
    }

    /// Takes up what an earlier process has recorded, and returns the kinds and addresses of stores that are not configured any more:
    /// their numbers are dropped.
    ///
    /// # Errors
    ///
    /// When the record is of no use; nothing is taken up then.
    pub fn restore(&self, record: &[u8]) -> Result<Vec<String>, RecordError> {
        restore(record, &self.stores, &self.run)
    }
}

fn record<'a>(stores: impl IntoIterator<Item = &'a StoreMetrics>, run: &Run) -> Vec<u8> {
    let stores: Vec<Value> = stores
        .into_iter()
        .map(|store| {
            let gauges = store.read(gauges);
            json!({ "name": store.name, "url": store.url, "gauges": gauges })
        })
        .collect();
    json!({ "version": VERSION, "stores": stores, "run": run.kept() })
        .to_string()
        .into_bytes()
}

/// Sets the gauges of each of `stores` to what the record says of its kind and address, whatever it was called.
///
/// Where the record has several of one kind and address, a store takes the numbers of its own name before others. What nobody takes
/// is dropped; its kinds and addresses are returned.
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
    // Of a store that was never asked there is nothing to take, and nothing to drop.
    kept.retain(|kept| !kept.series.is_empty());
    let mut waiting: Vec<&StoreMetrics> = stores.into_iter().collect();
    kept.retain(|kept| !kept.is_taken(&mut waiting, |store| store.name == kept.name));
    kept.retain(|kept| !kept.is_taken(&mut waiting, |_| true));
    run.follow(&whole["run"]);
    Ok(kept.iter().map(|kept| kept.url.to_owned()).collect())
}

impl<'a> KeptStore<'a> {
    fn read(store: &'a Value) -> Option<Self> {
        let gauges = store["gauges"].as_array()?;
        let series = gauges.iter().map(series).collect::<Option<Vec<_>>>()?;
        Some(Self {
            name: store["name"].as_str()?,
            url: store["url"].as_str()?,
            series: series.into_iter().flatten().collect(),
        })
    }

    /// Gives the numbers to the first of the waiting stores that has their kind and address, and is `eligible`.
    fn is_taken(
        &self,
        waiting: &mut Vec<&StoreMetrics>,
        eligible: impl Fn(&StoreMetrics) -> bool,
    ) -> bool {
        let taker = waiting
            .iter()
            .position(|store| store.url == self.url && eligible(store));
        let Some(taker) = taker.map(|place| waiting.remove(place)) else {
            return false;
        };
        taker.change(|known| {
            for series in &self.series {
                known.restore(series.clone());
            }
        });
        true
    }
}

fn gauges(known: &Known) -> Vec<Value> {
    let series = known.series().iter();
    series
        .map(|series| json!([series.family.name, series.labels, series.value]))
        .collect()
}

/// `None` if it has another form; nothing in it if its family is not known.
fn series(gauge: &Value) -> Option<Option<Series>> {
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
