//! The `imagestore_*` families: what is known of each image store.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, Result,
};

use super::{counter, gauge};

/// Upper bounds of the query duration's buckets, in seconds: from a small store on this host to a real rkt of 2,000 images.
const DURATION_BUCKETS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// What one store holds, as it said itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Number of images.
    pub images: u64,
    /// Sum of their sizes in bytes.
    pub size_bytes: u64,
    /// When the oldest image was imported, in seconds since the epoch; `None` without images.
    pub oldest_seconds: Option<i64>,
    /// When the newest image was imported, in seconds since the epoch; `None` without images.
    pub newest_seconds: Option<i64>,
    /// Length of the answer on the wire in bytes, gRPC's framing included.
    pub response_bytes: u64,
}

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// The runtime's name, such as `rkt`.
    pub name: String,
    /// Its version; rkt's own builds leave it empty.
    pub version: String,
    /// Version of the API it serves.
    pub api_version: String,
}

/// Moves the metrics of one store.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    name: String,
    families: StoreFamilies,
}

impl StoreMetrics {
    /// The store answered within `duration`.
    pub fn answered(&self, contents: &Contents, duration: Duration) {
        let families = &self.families;
        let now = self.ended(duration);
        self.set(&families.up, 1);
        self.set(&families.images, signed(contents.images));
        self.set(&families.size_bytes, signed(contents.size_bytes));
        self.set(&families.response_bytes, signed(contents.response_bytes));
        self.set_or_remove(&families.oldest, contents.oldest_seconds);
        self.set_or_remove(&families.newest, contents.newest_seconds);
        self.stamp(&families.last_success, now);
    }

    /// The store did not answer, or not rightly; `code` is one of those given to [`StoreMetrics::expect_codes`].
    ///
    /// The last good numbers stay, with their timestamp.
    pub fn failed(&self, code: &str, duration: Duration) {
        self.ended(duration);
        self.set(&self.families.up, 0);
        self.families
            .failures
            .with_label_values(&[self.name.as_str(), code])
            .inc();
    }

    /// The store said who it is. An earlier identity is forgotten.
    pub fn identified(&self, runtime: &Runtime, before: Option<&Runtime>) {
        if let Some(before) = before {
            let labels = self.identity(before);
            // Absent is as good as removed.
            let _ = self.families.runtime_info.remove_label_values(&labels);
        }
        self.families
            .runtime_info
            .with_label_values(&self.identity(runtime))
            .set(1);
    }

    /// Makes the failure counters of these codes appear, at 0.
    #[must_use]
    pub fn expect_codes(self, codes: impl IntoIterator<Item = &'static str>) -> Self {
        for code in codes {
            self.families
                .failures
                .with_label_values(&[self.name.as_str(), code]);
        }
        self
    }

    /// Says when that was, in seconds since the epoch.
    fn ended(&self, duration: Duration) -> f64 {
        let name = &[self.name.as_str()];
        self.families.queries.with_label_values(name).inc();
        self.families
            .duration
            .with_label_values(name)
            .observe(duration.as_secs_f64());
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        self.stamp(&self.families.last_query, now);
        now
    }

    fn set(&self, family: &IntGaugeVec, value: i64) {
        family.with_label_values(&[self.name.as_str()]).set(value);
    }

    fn set_or_remove(&self, family: &IntGaugeVec, value: Option<i64>) {
        match value {
            Some(value) => self.set(family, value),
            // Absent is as good as removed.
            None => drop(family.remove_label_values(&[self.name.as_str()])),
        }
    }

    fn stamp(&self, family: &GaugeVec, now: f64) {
        family.with_label_values(&[self.name.as_str()]).set(now);
    }

    fn identity<'a>(&'a self, runtime: &'a Runtime) -> [&'a str; 4] {
        [
            self.name.as_str(),
            runtime.name.as_str(),
            runtime.version.as_str(),
            runtime.api_version.as_str(),
        ]
    }
}

/// The families that all stores share; each store's children carry its name in the label `store`.
#[derive(Clone, Debug)]
pub(super) struct StoreFamilies {
    up: IntGaugeVec,
    images: IntGaugeVec,
    size_bytes: IntGaugeVec,
    oldest: IntGaugeVec,
    newest: IntGaugeVec,
    response_bytes: IntGaugeVec,
    runtime_info: IntGaugeVec,
    queries: IntCounterVec,
    failures: IntCounterVec,
    duration: HistogramVec,
    last_query: GaugeVec,
    last_success: GaugeVec,
}

impl StoreFamilies {
    pub(super) fn register(registry: &Registry) -> Result<Self> {
        const STORE: &[&str] = &["store"];
        Ok(Self {
            up: gauge(
                registry,
                "imagestore_up",
                "Whether the last query of the store succeeded: 1, or 0 when it failed. Absent before the first query. It says nothing of the time since.",
                STORE,
            )?,
            images: gauge(
                registry,
                "imagestore_images",
                "Images the store listed in its last good answer. Images that the runtime itself leaves out of its list, such as those rkt cannot read, are not counted.",
                STORE,
            )?,
            size_bytes: gauge(
                registry,
                "imagestore_images_size_bytes",
                "Sum in bytes of the image sizes the runtime reported in its last good answer. It is not disk usage: layers that images share count once per image; rkt counts an image's archive and its rendered tree.",
                STORE,
            )?,
            oldest: gauge(
                registry,
                "imagestore_oldest_image_timestamp_seconds",
                "When the image that has been in the store longest was imported, in seconds since the Unix epoch. It is the time of import, not of the image's making. Absent without images.",
                STORE,
            )?,
            newest: gauge(
                registry,
                "imagestore_newest_image_timestamp_seconds",
                "When the image that came last into the store was imported, in seconds since the Unix epoch. It is the time of import, not of the image's making. Absent without images.",
                STORE,
            )?,
            response_bytes: gauge(
                registry,
                "imagestore_response_bytes",
                "Length in bytes of the last good list of images on the wire, gRPC framing included, HTTP/2 framing and headers not.",
                STORE,
            )?,
            runtime_info: gauge(
                registry,
                "imagestore_runtime_info",
                "Always 1; the labels say which runtime answered, its version (empty where it tells none) and the version of its API.",
                &["store", "runtime", "version", "api_version"],
            )?,
            queries: counter(
                registry,
                "imagestore_queries_total",
                "Queries of the store that have ended, whatever their outcome.",
                STORE,
            )?,
            failures: counter(
                registry,
                "imagestore_query_failures_total",
                "Queries of the store that failed, by gRPC status code: the store's own, or the one that describes what the client met (UNAVAILABLE: no connection or a lost one; DEADLINE_EXCEEDED: no complete answer in time; INTERNAL: an answer that breaks the protocol; CANCELLED: given up because the service stopped).",
                &["store", "code"],
            )?,
            duration: histogram(
                registry,
                "imagestore_query_duration_seconds",
                "Duration in seconds of the store's queries from connecting to the last byte of the answer, failed ones included.",
            )?,
            last_query: timestamp(
                registry,
                "imagestore_last_query_timestamp_seconds",
                "When the last query of the store ended, good or bad, in seconds since the Unix epoch.",
            )?,
            last_success: timestamp(
                registry,
                "imagestore_last_success_timestamp_seconds",
                "When the last good query of the store ended, in seconds since the Unix epoch: the age of the other numbers.",
            )?,
        })
    }

    pub(super) fn of(&self, name: &str) -> StoreMetrics {
        self.queries.with_label_values(&[name]);
        StoreMetrics {
            name: name.to_owned(),
            families: self.clone(),
        }
    }
}

fn timestamp(registry: &Registry, name: &str, help: &str) -> Result<GaugeVec> {
    let family = GaugeVec::new(Opts::new(name, help), &["store"])?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

fn histogram(registry: &Registry, name: &str, help: &str) -> Result<HistogramVec> {
    let options = HistogramOpts::new(name, help).buckets(DURATION_BUCKETS.to_vec());
    let family = HistogramVec::new(options, &["store"])?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

/// A gauge is signed; a store of more than 9 exbibytes reads as that.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
