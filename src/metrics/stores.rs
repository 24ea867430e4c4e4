//! The `imagestore_*` families of all stores, and their encoded text, which is cached between scrapes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, Result,
    core::Collector,
};

use super::{
    counter, encode,
    gauges::{Gauges, StoreGauges},
};
use crate::answer::Code;

/// Upper bounds of the query duration's buckets in seconds: from a small local store to a real rkt with 2,000 images.
const DURATION_BUCKETS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// The families of all stores. Copies share them.
#[derive(Clone, Debug)]
pub(super) struct Stores {
    registry: Registry,
    /// The cached text: encoding takes most of a scrape, and the families change only with queries. `None` after a change.
    text: Arc<Mutex<Option<Vec<u8>>>>,
    info: IntGaugeVec,
    gauges: Gauges,
    queries: IntCounterVec,
    failures: IntCounterVec,
    duration: HistogramVec,
}

impl Stores {
    pub(super) fn new() -> Result<Self> {
        let registry = Registry::new();
        let info = IntGaugeVec::new(
            Opts::new(
                "imagestore_info",
                "Always 1, from the start: name, kind and configured address of each store.",
            ),
            &["store", "kind", "address"],
        )?;
        registry.register(Box::new(info.clone()))?;
        let gauges = Gauges::new()?;
        registry.register(Box::new(gauges.clone()))?;
        let duration = HistogramVec::new(
            HistogramOpts::new(
                "imagestore_query_duration_seconds",
                "Duration in seconds of the store's completed queries, from connecting to the last byte of the list or to the failure.",
            )
            .buckets(DURATION_BUCKETS.to_vec()),
            &["store"],
        )?;
        registry.register(Box::new(duration.clone()))?;
        Ok(Self {
            queries: counter(
                &registry,
                "imagestore_queries_total",
                "Completed queries of the store: those that were answered or failed.",
                &["store"],
            )?,
            failures: counter(
                &registry,
                "imagestore_query_failures_total",
                "Queries of the store that failed, by gRPC status code.",
                &["store", "code"],
            )?,
            text: Arc::default(),
            registry,
            info,
            gauges,
            duration,
        })
    }

    /// Adds a collector whose values never change.
    pub(super) fn register(&self, constant: impl Collector + 'static) -> Result<()> {
        self.registry.register(Box::new(constant))
    }

    /// Adds a store by its name, kind and address.
    pub(super) fn add(&self, store: &str, kind: &str, address: &str) {
        self.info.with_label_values(&[store, kind, address]).set(1);
        self.queries.with_label_values(&[store]);
        for code in Code::errors() {
            self.failures.with_label_values(&[store, code.name()]);
        }
        self.gauges.add(store);
        self.outdate();
    }

    /// Counts a completed query, with the code of its failure if it failed.
    pub(super) fn count(&self, store: &str, failure: Option<Code>, duration: Duration) {
        self.queries.with_label_values(&[store]).inc();
        if let Some(code) = failure {
            self.failures.with_label_values(&[store, code.name()]).inc();
        }
        let seconds = duration.as_secs_f64();
        self.duration.with_label_values(&[store]).observe(seconds);
        self.outdate();
    }

    pub(super) fn change(&self, store: &str, change: impl FnOnce(&mut StoreGauges)) {
        self.gauges.with(store, change);
        self.outdate();
    }

    pub(super) fn read<T>(&self, store: &str, read: impl FnOnce(&StoreGauges) -> T) -> Option<T> {
        self.gauges.with(store, |gauges| read(gauges))
    }

    /// All families in the text format.
    pub(super) fn text(&self) -> Result<Vec<u8>> {
        let mut text = self.lock();
        if let Some(text) = &*text {
            return Ok(text.clone());
        }
        Ok(text.insert(encode(&self.registry)?).clone())
    }

    fn outdate(&self) {
        self.lock().take();
    }

    /// The text is complete or absent, even after a panic.
    fn lock(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        answer::{Answer, Code, Runtime},
        metrics::Metrics,
    };

    #[test]
    fn a_scrape_shows_every_change_since_the_previous_one() {
        let metrics = Metrics::new("0", "").expect("constant names");
        let shows = |line: &str| {
            let text = String::from_utf8(metrics.encode().expect("encodable")).expect("text");
            text.lines().any(|shown| shown == line)
        };
        let store = metrics.store("rkt", "rkt", "http://here:1");
        assert!(shows("imagestore_queries_total{store=\"rkt\"} 0"));
        store.answered(&Answer::default(), Duration::ZERO);
        assert!(shows("imagestore_images{store=\"rkt\"} 0"));
        let runtime = Runtime {
            name: "rkt".to_owned(),
            version: "1".to_owned(),
            api_version: "2".to_owned(),
        };
        store.described(&Answer {
            runtime: Some(runtime),
            ..Answer::default()
        });
        let info =
            r#"imagestore_runtime_info{api_version="2",runtime="rkt",store="rkt",version="1"} 1"#;
        assert!(shows(info));
        store.failed(Code::UNAVAILABLE, Duration::ZERO);
        assert!(shows("imagestore_up{store=\"rkt\"} 0"));
        metrics.store("cri", "cri", "unix:///run/there.sock");
        assert!(shows("imagestore_queries_total{store=\"cri\"} 0"));
    }
}
