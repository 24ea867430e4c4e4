//! The families that rarely change: those of stores and most of the service's own; and their text, cached between scrapes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, Result};

use super::{
    counter,
    encoding::{Format, Text},
    exemplars::Exemplars,
    gauges::{Gauges, StoreGauges},
    store::Query,
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
    cache: Arc<Mutex<Cache>>,
    info: IntGaugeVec,
    gauges: Gauges,
    queries: IntCounterVec,
    failures: IntCounterVec,
    duration: HistogramVec,
}

/// What a scrape shows besides the registry.
#[derive(Debug)]
struct Cache {
    exemplars: Exemplars,
    /// The text of all families in each format. It is cached: encoding takes most of a scrape, and the families rarely change.
    /// Empty after a change.
    texts: Vec<(Format, Text)>,
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
            cache: Arc::new(Mutex::new(Cache {
                exemplars: Exemplars::new(&DURATION_BUCKETS),
                texts: Vec::new(),
            })),
            registry,
            info,
            gauges,
            duration,
        })
    }

    /// For more families that rarely change. [`outdate`](Self::outdate) must follow each change of one.
    pub(super) fn registry(&self) -> &Registry {
        &self.registry
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
    pub(super) fn count(&self, store: &str, failure: Option<Code>, query: Query<'_>) {
        self.queries.with_label_values(&[store]).inc();
        if let Some(code) = failure {
            self.failures.with_label_values(&[store, code.name()]).inc();
        }
        let seconds = query.duration.as_secs_f64();
        self.duration.with_label_values(&[store]).observe(seconds);
        self.lock().exemplars.add(store, query);
        self.outdate();
    }

    pub(super) fn change(&self, store: &str, change: impl FnOnce(&mut StoreGauges)) {
        self.gauges.with(store, change);
        self.outdate();
    }

    pub(super) fn read<T>(&self, store: &str, read: impl FnOnce(&StoreGauges) -> T) -> Option<T> {
        self.gauges.with(store, |gauges| read(gauges))
    }

    /// Passes the text of all families in this format to `work`.
    pub(super) fn text<T>(&self, format: Format, work: impl FnOnce(&mut Text) -> T) -> Result<T> {
        let Cache { exemplars, texts } = &mut *self.lock();
        let at = match texts.iter().position(|(cached, _)| *cached == format) {
            Some(at) => at,
            None => {
                let text = Text::encode(&self.registry, format, Some(exemplars))?;
                texts.push((format, text));
                texts.len() - 1
            }
        };
        Ok(work(&mut texts[at].1))
    }

    /// Drops the cached text.
    pub(super) fn outdate(&self) {
        self.lock().texts.clear();
    }

    /// Each text is complete, even after a panic.
    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use crate::{
        answer::{Answer, Code, Runtime},
        metrics::{Coding, Format, Metrics, Query, TraceOutcome, Trigger},
    };

    /// In every format, and compressed too.
    #[test]
    fn a_scrape_shows_every_change_since_the_previous_one() {
        let metrics = Metrics::new("0", "").expect("constant names");
        let shows = |line: &str| {
            for format in [Format::Text, Format::OpenMetrics] {
                let encode = |coding| metrics.encode(format, coding).expect("encodable");
                let text = encode(Coding::Identity);
                let mut decompressed = Vec::new();
                let compressed = encode(Coding::Gzip);
                let read = GzDecoder::new(&compressed[..]).read_to_end(&mut decompressed);
                read.expect("it is gzip");
                assert_eq!(decompressed, text);
                let text = String::from_utf8(text).expect("it is text");
                assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
            }
        };
        let store = metrics.store("rkt", "rkt", "http://here:1");
        shows("imagestore_queries_total{store=\"rkt\"} 0");
        store.answered(&Answer::default(), Query::default());
        shows("imagestore_images{store=\"rkt\"} 0");
        let runtime = Runtime {
            name: "rkt".to_owned(),
            version: "1".to_owned(),
            api_version: "2".to_owned(),
        };
        store.described(&Answer {
            runtime: Some(runtime),
            ..Answer::default()
        });
        shows(
            r#"imagestore_runtime_info{api_version="2",runtime="rkt",store="rkt",version="1"} 1"#,
        );
        store.failed(Code::UNAVAILABLE, Query::default());
        shows("imagestore_up{store=\"rkt\"} 0");
        metrics.store("cri", "cri", "unix:///run/there.sock");
        shows("imagestore_queries_total{store=\"cri\"} 0");
        metrics.triggered(Trigger::Signal);
        shows("exp_rkt_grpc_triggers_total{trigger=\"signal\"} 1");
        metrics.trace_ended(TraceOutcome::Failed);
        shows("exp_rkt_grpc_traces_total{outcome=\"failed\"} 1");
        metrics.log_line_dropped();
        shows("exp_rkt_grpc_log_lines_dropped_total 1");
        metrics.http_request("/", "200");
        shows("exp_rkt_grpc_http_requests_total{code=\"200\",path=\"/\"} 1");
    }
}
