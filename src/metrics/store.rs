//! The `imagestore_*` families: what is known of each image store.

use std::{
    mem,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, Result,
};

use super::{counter, gauge};

/// Upper bounds of the query duration's buckets, in seconds: from a small store on this host to a real rkt of 2,000 images.
const DURATION_BUCKETS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// What one store holds, as it said itself. What a kind of store does not know is `None` or empty, and its metric absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents<'a> {
    /// Number of images.
    pub images: u64,
    /// Sum of their sizes in bytes.
    pub size_bytes: u64,
    /// When the oldest image was imported, in seconds since the epoch.
    pub oldest_seconds: Option<i64>,
    /// When the newest image was imported, in seconds since the epoch.
    pub newest_seconds: Option<i64>,
    /// Images without a tag.
    pub untagged: Option<u64>,
    /// Images kept from garbage collection.
    pub pinned: Option<u64>,
    /// Images per registry, `other` among them.
    pub registries: Vec<(&'a str, u64)>,
    /// Length of the answer on the wire in bytes, gRPC's framing included.
    pub response_bytes: u64,
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runtime<'a> {
    /// The runtime's name, such as `rkt`.
    pub name: &'a str,
    /// Its version; rkt's own builds leave it empty.
    pub version: &'a str,
    /// Version of the API it serves.
    pub api_version: &'a str,
}

/// A file system that holds images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filesystem<'a> {
    /// Where it is mounted.
    pub mountpoint: &'a str,
    /// Bytes used by images.
    pub used_bytes: Option<u64>,
    /// Inodes used by images.
    pub inodes_used: Option<u64>,
}

/// Moves the metrics of one store.
#[derive(Debug)]
pub struct StoreMetrics {
    name: String,
    families: StoreFamilies,
    registries: Series,
    used_bytes: Series,
    inodes_used: Series,
    runtime_info: Series,
}

impl StoreMetrics {
    /// The store answered within `duration`.
    pub fn answered(&mut self, contents: &Contents<'_>, duration: Duration) {
        let families = &self.families;
        let now = self.ended(duration);
        self.set(&families.up, Some(1));
        self.set(&families.images, Some(contents.images));
        self.set(&families.size_bytes, Some(contents.size_bytes));
        self.set(&families.response_bytes, Some(contents.response_bytes));
        self.set(&families.untagged, contents.untagged);
        self.set(&families.pinned, contents.pinned);
        self.set(&families.oldest, contents.oldest_seconds);
        self.set(&families.newest, contents.newest_seconds);
        self.stamp(&families.last_success, now);
        let registries = contents.registries.iter();
        self.registries
            .replace(registries.map(|&(registry, images)| (vec![registry], images)));
    }

    /// The store did not answer, or not rightly; `code` is one of those given to [`StoreMetrics::expect_codes`].
    ///
    /// The last good numbers stay, with their timestamp.
    pub fn failed(&self, code: &str, duration: Duration) {
        self.ended(duration);
        self.set(&self.families.up, Some(0));
        self.families
            .failures
            .with_label_values(&[self.name.as_str(), code])
            .inc();
    }

    /// The store said who it is. An earlier identity is forgotten.
    pub fn identified(&mut self, runtime: Runtime<'_>) {
        let labels = vec![runtime.name, runtime.version, runtime.api_version];
        self.runtime_info.replace([(labels, 1)]);
    }

    /// The store said what its file systems hold. Others, that it told of earlier, are forgotten.
    pub fn filesystems(&mut self, filesystems: &[Filesystem<'_>]) {
        let used = filesystems
            .iter()
            .filter_map(|filesystem| Some((vec![filesystem.mountpoint], filesystem.used_bytes?)));
        self.used_bytes.replace(used);
        let inodes = filesystems
            .iter()
            .filter_map(|filesystem| Some((vec![filesystem.mountpoint], filesystem.inodes_used?)));
        self.inodes_used.replace(inodes);
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

    fn set(&self, family: &IntGaugeVec, value: Option<impl TryInto<i64>>) {
        let labels = [self.name.as_str()];
        match value {
            Some(value) => family.with_label_values(&labels).set(signed(value)),
            // Absent is as good as removed.
            None => drop(family.remove_label_values(&labels)),
        }
    }

    fn stamp(&self, family: &GaugeVec, now: f64) {
        family.with_label_values(&[self.name.as_str()]).set(now);
    }
}

/// The series that one store has in a family with further labels; replaced as a whole.
#[derive(Debug)]
struct Series {
    family: IntGaugeVec,
    store: String,
    /// Values of the further labels.
    present: Vec<Vec<String>>,
}

impl Series {
    fn new(family: &IntGaugeVec, store: &str) -> Self {
        Self {
            family: family.clone(),
            store: store.to_owned(),
            present: Vec::new(),
        }
    }

    fn replace<'a>(&mut self, rows: impl IntoIterator<Item = (Vec<&'a str>, u64)>) {
        for labels in mem::take(&mut self.present) {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            // What is present was put there.
            let _ = self.family.remove_label_values(&self.all(&labels));
        }
        for (labels, value) in rows {
            self.family
                .with_label_values(&self.all(&labels))
                .set(signed(value));
            self.present
                .push(labels.into_iter().map(str::to_owned).collect());
        }
    }

    fn all<'a>(&'a self, labels: &[&'a str]) -> Vec<&'a str> {
        [&[self.store.as_str()], labels].concat()
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
    untagged: IntGaugeVec,
    pinned: IntGaugeVec,
    registries: IntGaugeVec,
    used_bytes: IntGaugeVec,
    inodes_used: IntGaugeVec,
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
                "Sum in bytes of the image sizes the runtime reported in its last good answer. It is not disk usage: layers that images share count once per image. rkt reports an image's archive and its rendered tree, containerd compressed sizes, CRI-O sizes that are not compressed.",
                STORE,
            )?,
            oldest: gauge(
                registry,
                "imagestore_oldest_image_timestamp_seconds",
                "When the image that has been in the store longest was imported, in seconds since the Unix epoch. It is the time of import, not of the image's making. Absent without images; rkt only, CRI does not tell.",
                STORE,
            )?,
            newest: gauge(
                registry,
                "imagestore_newest_image_timestamp_seconds",
                "When the image that came last into the store was imported, in seconds since the Unix epoch. It is the time of import, not of the image's making. Absent without images; rkt only, CRI does not tell.",
                STORE,
            )?,
            untagged: gauge(
                registry,
                "imagestore_untagged_images",
                "Images without any tag in the store's last good answer; with nothing but a digest they still count. CRI only.",
                STORE,
            )?,
            pinned: gauge(
                registry,
                "imagestore_pinned_images",
                "Images that the runtime keeps from garbage collection, in the store's last good answer. CRI only; runtimes that do not know pinning pin none.",
                STORE,
            )?,
            registries: gauge(
                registry,
                "imagestore_registry_images",
                "Images by the registry in their first tag, or digest where there is no tag: the ten registries with most images, and \"other\" for all further ones. Images without a name are not counted. Exact up to 256 registries in a store; beyond that the counts of the ten can be too high, by 1/256 of all images at most. CRI only.",
                &["store", "registry"],
            )?,
            used_bytes: gauge(
                registry,
                "imagestore_filesystem_used_bytes",
                "Bytes that images use on the file system, as the runtime reports it (CRI ImageFsInfo). It is not the usage of the whole file system. CRI only.",
                &["store", "mountpoint"],
            )?,
            inodes_used: gauge(
                registry,
                "imagestore_filesystem_inodes_used",
                "Inodes that images use on the file system, as the runtime reports it (CRI ImageFsInfo). It is not the usage of the whole file system. CRI only.",
                &["store", "mountpoint"],
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
            registries: Series::new(&self.registries, name),
            used_bytes: Series::new(&self.used_bytes, name),
            inodes_used: Series::new(&self.inodes_used, name),
            runtime_info: Series::new(&self.runtime_info, name),
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

/// A gauge is signed; a store of more than 8 exbibytes reads as that.
fn signed(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}
