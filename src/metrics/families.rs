//! The `imagestore_*` families: names, HELP and labels.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Registry, Result};

use super::{counter, gauges::Gauges};

/// Upper bounds of the query duration's buckets, in seconds: from a small store on this host to a real rkt of 2,000 images.
const DURATION_BUCKETS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// The families that all stores share; each store's children carry its name in the label `store`.
#[derive(Clone, Debug)]
pub(super) struct StoreFamilies {
    pub(super) info: Gauges,
    pub(super) up: Gauges,
    pub(super) images: Gauges,
    pub(super) size_bytes: Gauges,
    pub(super) oldest: Gauges,
    pub(super) newest: Gauges,
    pub(super) untagged: Gauges,
    pub(super) pinned: Gauges,
    pub(super) registries: Gauges,
    pub(super) used_bytes: Gauges,
    pub(super) inodes_used: Gauges,
    pub(super) response_bytes: Gauges,
    pub(super) runtime_info: Gauges,
    pub(super) queries: IntCounterVec,
    pub(super) failures: IntCounterVec,
    pub(super) duration: HistogramVec,
    pub(super) last_query: Gauges,
    pub(super) last_success: Gauges,
}

impl StoreFamilies {
    pub(super) fn register(registry: &Registry) -> Result<Self> {
        const STORE: &[&str] = &["store"];
        Ok(Self {
            info: Gauges::register(
                registry,
                "imagestore_info",
                "Always 1, for each configured store and from the start, whether or not it was ever asked; the labels are its name, its kind (rkt or cri) and its address as configured. It says nothing of whether the store is there.",
                &["store", "kind", "address"],
            )?,
            up: Gauges::register(
                registry,
                "imagestore_up",
                "Whether the last query of the store that came to an end succeeded: 1, or 0 when it failed. Absent before the first query. It says nothing of the time since.",
                STORE,
            )?,
            images: Gauges::register(
                registry,
                "imagestore_images",
                "Images the store listed in its last good answer. Images that the runtime itself leaves out of its list, such as those rkt cannot read, are not counted.",
                STORE,
            )?,
            size_bytes: Gauges::register(
                registry,
                "imagestore_images_size_bytes",
                "Sum in bytes of the image sizes the runtime reported in its last good answer. It is not disk usage: layers that images share count once per image. rkt reports an image's archive and its rendered tree, containerd compressed sizes, CRI-O sizes that are not compressed. A sum of more than 64 bits is told as 2^64.",
                STORE,
            )?,
            oldest: Gauges::register(
                registry,
                "imagestore_oldest_image_timestamp_seconds",
                "When the image that has been in the store longest was imported, in seconds since the Unix epoch. It is the time of import, not of the image's making. Absent where no image has one; a time that is not set is not 1970. rkt only, CRI does not report it.",
                STORE,
            )?,
            newest: Gauges::register(
                registry,
                "imagestore_newest_image_timestamp_seconds",
                "When the image that came last into the store was imported, in seconds since the Unix epoch. It is the time of import, not of the image's making. Absent where no image has one; a time that is not set is not 1970. rkt only, CRI does not report it.",
                STORE,
            )?,
            untagged: Gauges::register(
                registry,
                "imagestore_untagged_images",
                "Images without any tag in the store's last good answer, with a digest or without. Docker's placeholder <none> is not a tag. CRI only.",
                STORE,
            )?,
            pinned: Gauges::register(
                registry,
                "imagestore_pinned_images",
                "Images that the runtime keeps from garbage collection, in the store's last good answer. CRI only; runtimes that do not know pinning pin none.",
                STORE,
            )?,
            registries: Gauges::register(
                registry,
                "imagestore_registry_images",
                "Images by the registry in their first tag, or first digest where there is no tag. The sum over registries equals imagestore_images. Hosts are in lower case, and index.docker.io is docker.io. \"(none)\": images without a name. \"(invalid)\": names with something in the host's place that no host can be called. \"(other)\": images of all further registries where there are more than 64; those whose names sort first are named. CRI only.",
                &["store", "registry"],
            )?,
            used_bytes: Gauges::register(
                registry,
                "imagestore_filesystem_used_bytes",
                "Bytes that images use on the file system, as the runtime reported it after its last good list (CRI ImageFsInfo). Absent when it did not report it. It is not the usage of the whole file system. File systems with one mountpoint are added up, at most 16 mountpoints are shown. CRI only.",
                &["store", "mountpoint"],
            )?,
            inodes_used: Gauges::register(
                registry,
                "imagestore_filesystem_inodes_used",
                "Inodes that images use on the file system, as the runtime reported it after its last good list (CRI ImageFsInfo). Absent when it did not report it. It is not the usage of the whole file system. File systems with one mountpoint are added up, at most 16 mountpoints are shown. CRI only.",
                &["store", "mountpoint"],
            )?,
            response_bytes: Gauges::register(
                registry,
                "imagestore_response_bytes",
                "Length in bytes of the last good list of images on the wire, gRPC framing included, HTTP/2 framing and headers not.",
                STORE,
            )?,
            runtime_info: Gauges::register(
                registry,
                "imagestore_runtime_info",
                "Always 1; the labels say which runtime answered, its version (empty where it tells none) and the version of its API. Absent when the runtime did not report it after its last good list.",
                &["store", "runtime", "version", "api_version"],
            )?,
            queries: counter(
                registry,
                "imagestore_queries_total",
                "Queries of the store that have answered or failed. A query abandoned because the service stops is not counted.",
                STORE,
            )?,
            failures: counter(
                registry,
                "imagestore_query_failures_total",
                "Queries of the store that failed, by gRPC status code: the store's own, or the one that describes what the client met (UNAVAILABLE: no connection or a lost one; DEADLINE_EXCEEDED: no complete answer in time; INTERNAL: an answer that breaks the protocol; RESOURCE_EXHAUSTED: an error text longer than 1 MiB, or no descriptor, memory or port left on this side; PERMISSION_DENIED: the socket's owner, the sandbox or a firewall forbids to connect). A query abandoned because the service stops is not a failure of the store.",
                &["store", "code"],
            )?,
            duration: histogram(
                registry,
                "imagestore_query_duration_seconds",
                "Duration in seconds of the store's queries from connecting to the last byte of the answer, failed ones included, abandoned ones not.",
            )?,
            last_query: Gauges::register(
                registry,
                "imagestore_last_query_timestamp_seconds",
                "When the last query of the store answered or failed, in seconds since the Unix epoch.",
                STORE,
            )?,
            last_success: Gauges::register(
                registry,
                "imagestore_last_success_timestamp_seconds",
                "When the store last listed its images, in seconds since the Unix epoch: the age of all numbers that are known of it.",
                STORE,
            )?,
        })
    }

    /// What the calls beside the list fill: it is of the same answer as the other numbers, or absent.
    pub(super) fn of_side_calls(&self) -> [&Gauges; 3] {
        [&self.runtime_info, &self.used_bytes, &self.inodes_used]
    }

    /// Every gauge that a query sets: what is known of the stores, as opposed to what this process has counted, and to what its
    /// configuration says.
    pub(super) fn gauges(&self) -> [&Gauges; 14] {
        [
            &self.up,
            &self.images,
            &self.size_bytes,
            &self.oldest,
            &self.newest,
            &self.untagged,
            &self.pinned,
            &self.registries,
            &self.used_bytes,
            &self.inodes_used,
            &self.response_bytes,
            &self.runtime_info,
            &self.last_query,
            &self.last_success,
        ]
    }
}

fn histogram(registry: &Registry, name: &str, help: &str) -> Result<HistogramVec> {
    let options = HistogramOpts::new(name, help).buckets(DURATION_BUCKETS.to_vec());
    let family = HistogramVec::new(options, &["store"])?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}
