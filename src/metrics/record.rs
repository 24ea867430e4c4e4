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
mod tests {
    use std::time::Duration;

    use super::{Kept, RecordError};
    use crate::{
        answer::{Answer, Contents, Registries, Registry},
        metrics::{Metrics, StoreMetrics},
    };

    const HERE: &str = "cri+unix:///run/here.sock";
    const THERE: &str = "cri+unix:///run/there.sock";

    fn metrics() -> Metrics {
        Metrics::new("0", "").expect("constant names")
    }

    /// Every line of a store's gauges, without the store's name.
    fn gauges(metrics: &Metrics, store: &str) -> Vec<String> {
        let text = String::from_utf8(metrics.encode().expect("encodable")).expect("text");
        let name = format!("store=\"{store}\"");
        let gauges = text.lines().filter(|line| {
            let others = ["_total", "duration", "imagestore_info"];
            line.contains(&name) && !others.iter().any(|other| line.contains(other))
        });
        gauges.map(|line| line.replace(&name, "")).collect()
    }

    fn record<'a>(stores: impl IntoIterator<Item = &'a StoreMetrics>) -> Vec<u8> {
        super::record(stores, metrics().run())
    }

    fn restore<'a>(
        record: &[u8],
        stores: impl IntoIterator<Item = &'a StoreMetrics>,
    ) -> Result<Vec<String>, RecordError> {
        super::restore(record, stores, metrics().run())
    }

    fn answers(store: &StoreMetrics, images: u64) {
        let mut registries = Registries::default();
        registries.add(Registry::Host("a.example"));
        registries.add(Registry::None);
        let contents = Contents {
            images,
            size_bytes: 1 << 52,
            registries,
            ..Contents::default()
        };
        let answer = Answer {
            contents,
            ..Answer::default()
        };
        store.answered(&answer, Duration::ZERO);
    }

    #[test]
    fn numbers_go_to_the_store_of_their_kind_and_address_whatever_it_is_called() {
        let before = metrics();
        let store = before.store("cri", HERE);
        answers(&store, 3);
        let expected = gauges(&before, "cri");
        assert!(expected.len() > 5, "{expected:?}");

        let after = metrics();
        let stores = [after.store("cri", THERE), after.store("renamed", HERE)];
        let dropped = restore(&record([&store]), &stores).expect("a good record");
        assert_eq!(gauges(&after, "renamed"), expected);
        assert_eq!(gauges(&after, "cri"), Vec::<String>::new());
        assert_eq!(dropped, Vec::<String>::new());
    }

    #[test]
    fn numbers_of_an_address_that_is_not_configured_any_more_are_dropped() {
        let before = metrics();
        let stores = [
            before.store("cri", HERE),
            before.store("never-asked", THERE),
        ];
        answers(&stores[0], 3);
        let after = metrics();
        let dropped = restore(&record(&stores), [&after.store("cri", "rkt+http://here:1")]);
        assert_eq!(dropped.expect("a good record"), [HERE]);
        assert_eq!(gauges(&after, "cri"), Vec::<String>::new());
    }

    #[test]
    fn of_two_stores_at_one_address_each_takes_the_numbers_of_its_own_name() {
        let before = metrics();
        let stores = ["a", "b", "c"].map(|name| before.store(name, HERE));
        for (store, images) in stores.iter().zip([1, 2, 3]) {
            answers(store, images);
        }
        let after = metrics();
        let [c, x, a] = ["c", "x", "a"].map(|name| after.store(name, HERE));
        let dropped = restore(&record(&stores), [&c, &x, &a]).expect("a good record");
        assert_eq!(dropped, Vec::<String>::new());
        for (now, earlier) in [("c", "c"), ("x", "b"), ("a", "a")] {
            assert_eq!(gauges(&after, now), gauges(&before, earlier));
        }
    }

    #[test]
    fn what_a_process_keeps_of_its_run_is_known_to_the_next_one_unless_the_record_is_of_no_use() {
        let kept = |metrics: &Metrics| Kept::new(vec![], metrics.run().clone());
        let before = kept(&metrics()).record();
        let after = metrics();
        kept(&after).restore(b"{}").expect_err("it has no version");
        assert_eq!(after.run().row(), None);
        kept(&after).restore(&before).expect("a good record");
        assert_eq!(after.run().row().map(|row| row.ends), Some(1));
        let text = String::from_utf8(after.encode().expect("encodable")).expect("text");
        assert!(
            text.contains("\nexp_rkt_grpc_unexpected_ends_total 1\n"),
            "{text}"
        );
    }

    #[test]
    fn numbers_are_taken_once() {
        let before = metrics();
        let store = before.store("a", HERE);
        answers(&store, 1);
        let after = metrics();
        let stores = ["x", "a"].map(|name| after.store(name, HERE));
        restore(&record([&store]), &stores).expect("a good record");
        assert_eq!(gauges(&after, "a"), gauges(&before, "a"));
        assert_eq!(gauges(&after, "x"), Vec::<String>::new());
    }

    #[test]
    fn a_record_that_does_not_say_whose_numbers_it_holds_is_of_no_use() {
        let metrics = metrics();
        let of_0_1_0 = br#"{"version": 1, "gauges": [["imagestore_images", ["cri"], 1]]}"#;
        let outcome = restore(of_0_1_0, [&metrics.store("cri", HERE)]);
        assert!(
            matches!(outcome, Err(RecordError::WithoutAddresses)),
            "{outcome:?}"
        );
        assert_eq!(gauges(&metrics, "cri"), Vec::<String>::new());
    }

    #[test]
    fn a_record_that_is_too_new_or_broken_changes_nothing() {
        let metrics = metrics();
        let store = metrics.store("cri", HERE);
        let good = r#"{"version": 2, "stores": [{"name": "cri", "url": "cri+unix:///run/here.sock", "gauges": [["imagestore_images", [], 1]]}]}"#;
        let too_new = good.replace("\"version\": 2", "\"version\": 3");
        let outcome = restore(too_new.as_bytes(), [&store]);
        assert!(
            matches!(outcome, Err(RecordError::Version(3))),
            "{outcome:?}"
        );
        for broken in [
            "{".to_owned(),
            "[]".to_owned(),
            r#"{"version": 2}"#.to_owned(),
            good.replace("[], 1]", "[], 1], [\"x\"]"),
            good.replace("\"url\"", "\"address\""),
        ] {
            assert_ne!(broken, good);
            restore(broken.as_bytes(), [&store]).expect_err("broken");
        }
        assert_eq!(gauges(&metrics, "cri"), Vec::<String>::new());
        restore(good.as_bytes(), [&store]).expect("a good record");
        assert_eq!(gauges(&metrics, "cri"), ["imagestore_images{} 1"]);
    }

    #[test]
    fn a_series_that_was_restored_goes_when_the_store_answers_anew() {
        let before = metrics();
        let store = before.store("cri", HERE);
        answers(&store, 3);
        let after = metrics();
        let restored = after.store("cri", HERE);
        restore(&record([&store]), [&restored]).expect("a good record");
        restored.answered(&Answer::default(), Duration::ZERO);
        let gauges = gauges(&after, "cri");
        assert!(!gauges.iter().any(|line| line.contains("a.example")));
    }
}
