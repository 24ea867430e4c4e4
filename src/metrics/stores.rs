//! The `imagestore_*` families of all stores, and their text, which is kept from one scrape to the next.

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
    gauges::{Gauges, Known},
};
use crate::answer::Code;

/// Upper bounds of the query duration's buckets, in seconds: from a small store on this host to a real rkt of 2,000 images.
const DURATION_BUCKETS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// The families of all stores. Copies share them.
#[derive(Clone, Debug)]
pub(super) struct Stores {
    registry: Registry,
    /// Encoding it costs most of a scrape, and it changes with queries only. `None` once it has changed.
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

    /// Adds what never changes.
    pub(super) fn register(&self, constant: impl Collector + 'static) -> Result<()> {
        self.registry.register(Box::new(constant))
    }

    /// Adds a store by its name, and its kind and address.
    pub(super) fn add(&self, store: &str, url: &str) {
        let (kind, address) = url.split_once('+').unwrap_or(("", url));
        self.info.with_label_values(&[store, kind, address]).set(1);
        self.queries.with_label_values(&[store]);
        for code in Code::errors() {
            self.failures.with_label_values(&[store, code.name()]);
        }
        self.gauges.add(store);
        self.outdate();
    }

    /// Counts a query that has come to an end, with this code if it failed.
    pub(super) fn count(&self, store: &str, failure: Option<Code>, duration: Duration) {
        self.queries.with_label_values(&[store]).inc();
        if let Some(code) = failure {
            self.failures.with_label_values(&[store, code.name()]).inc();
        }
        let seconds = duration.as_secs_f64();
        self.duration.with_label_values(&[store]).observe(seconds);
        self.outdate();
    }

    /// Changes what is known of a store.
    pub(super) fn change(&self, store: &str, change: impl FnOnce(&mut Known)) {
        self.gauges.with(store, change);
        self.outdate();
    }

    /// Reads what is known of a store.
    pub(super) fn read<T>(&self, store: &str, read: impl FnOnce(&Known) -> T) -> Option<T> {
        self.gauges.with(store, |known| read(known))
    }

    /// A copy of the families in the text format.
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

    /// A text is there whole or not at all, also after a panic.
    fn lock(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
