//! The facts of one store, and the metrics that they move.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    cached::CachedText,
    families::StoreFamilies,
    gauges::{Gauges, Series},
};

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
    /// Images per registry, `(other)` among them.
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

/// What the last queries of a store came to, this process's or an earlier one's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Known {
    /// Whether the last query that came to an end succeeded.
    pub up: bool,
    /// When that was, in seconds since the epoch.
    pub asked: f64,
    /// The images of the last good answer.
    pub images: Option<f64>,
    /// When that was, in seconds since the epoch.
    pub answered: Option<f64>,
}

/// Moves the metrics of one store.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    pub(super) name: String,
    /// Kind and address: whose numbers they are, whatever it is called.
    pub(super) url: String,
    families: StoreFamilies,
    text: Arc<CachedText>,
}

impl StoreMetrics {
    pub(super) fn new(
        name: &str,
        url: &str,
        families: &StoreFamilies,
        text: &Arc<CachedText>,
    ) -> Self {
        families.queries.with_label_values(&[name]);
        let (kind, address) = url.split_once('+').unwrap_or(("", url));
        families.info.set(name, &[kind, address], 1.0);
        text.outdate();
        Self {
            name: name.to_owned(),
            url: url.to_owned(),
            families: families.clone(),
            text: Arc::clone(text),
        }
    }

    /// The store answered within `duration`.
    ///
    /// What it said of itself with an earlier answer is not of this one, and goes.
    pub fn answered(&self, contents: &Contents<'_>, duration: Duration) {
        let families = &self.families;
        let now = self.ended(duration);
        self.set(&families.up, Some(1.0));
        self.set(&families.images, Some(contents.images as f64));
        self.set(&families.size_bytes, Some(contents.size_bytes as f64));
        self.set(
            &families.response_bytes,
            Some(contents.response_bytes as f64),
        );
        self.set(
            &families.untagged,
            contents.untagged.map(|count| count as f64),
        );
        self.set(&families.pinned, contents.pinned.map(|count| count as f64));
        self.set(
            &families.oldest,
            contents.oldest_seconds.map(|time| time as f64),
        );
        self.set(
            &families.newest,
            contents.newest_seconds.map(|time| time as f64),
        );
        self.set(&families.last_success, Some(now));
        let registries = contents.registries.iter();
        families.registries.replace(
            &self.name,
            registries.map(|&(registry, images)| (vec![registry], images as f64)),
        );
        for family in families.of_side_calls() {
            family.replace(&self.name, []);
        }
        self.text.outdate();
    }

    /// The store did not answer, or not rightly; `code` is one of those given to [`StoreMetrics::expect_codes`].
    ///
    /// The last good numbers stay, with their timestamp.
    pub fn failed(&self, code: &str, duration: Duration) {
        self.ended(duration);
        self.set(&self.families.up, Some(0.0));
        self.families
            .failures
            .with_label_values(&[self.name.as_str(), code])
            .inc();
        self.text.outdate();
    }

    /// The store said who it is, after it has [`StoreMetrics::answered`].
    pub fn identified(&self, runtime: Runtime<'_>) {
        let labels = vec![runtime.name, runtime.version, runtime.api_version];
        self.families
            .runtime_info
            .replace(&self.name, [(labels, 1.0)]);
        self.text.outdate();
    }

    /// The store said what its file systems hold, after it has [`StoreMetrics::answered`].
    pub fn filesystems(&self, filesystems: &[Filesystem<'_>]) {
        let used = filesystems.iter().filter_map(|filesystem| {
            Some((vec![filesystem.mountpoint], filesystem.used_bytes? as f64))
        });
        self.families.used_bytes.replace(&self.name, used);
        let inodes = filesystems.iter().filter_map(|filesystem| {
            Some((vec![filesystem.mountpoint], filesystem.inodes_used? as f64))
        });
        self.families.inodes_used.replace(&self.name, inodes);
        self.text.outdate();
    }

    /// Makes the failure counters of these codes appear, at 0.
    #[must_use]
    pub fn expect_codes(self, codes: impl IntoIterator<Item = &'static str>) -> Self {
        for code in codes {
            self.families
                .failures
                .with_label_values(&[self.name.as_str(), code]);
        }
        self.text.outdate();
        self
    }

    /// What is known of the store; `None` before its first query.
    #[must_use]
    pub fn known(&self) -> Option<Known> {
        let families = &self.families;
        Some(Known {
            up: self.value(&families.up)? == 1.0,
            asked: self.value(&families.last_query)?,
            images: self.value(&families.images),
            answered: self.value(&families.last_success),
        })
    }

    /// Every gauge of the store that a query sets: its family's name, the labels behind the store's name, the value.
    pub(super) fn gauges(&self) -> Vec<(&'static str, Vec<String>, f64)> {
        let families = self.families.gauges().into_iter();
        families
            .flat_map(|family| {
                let series = family.series_of(&self.name).into_iter();
                series.map(|Series { labels, value }| (family.name(), labels, value))
            })
            .collect()
    }

    /// Sets one gauge; families that are not known, and labels that do not fit, are ignored.
    pub(super) fn set_gauge(&self, family: &str, labels: &[&str], value: f64) {
        let mut families = self.families.gauges().into_iter();
        if let Some(family) = families.find(|known| known.name() == family) {
            family.set(&self.name, labels, value);
        }
        self.text.outdate();
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
        self.set(&self.families.last_query, Some(now));
        now
    }

    /// Of a family without further labels.
    fn value(&self, family: &Gauges) -> Option<f64> {
        let series = family.series_of(&self.name);
        series.first().map(|series| series.value)
    }

    fn set(&self, family: &Gauges, value: Option<f64>) {
        family.replace(&self.name, value.map(|value| (Vec::new(), value)));
    }
}
