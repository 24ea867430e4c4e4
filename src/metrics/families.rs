//! The table of gauges that a query sets. A row is all that is needed to register, show and keep a number.

use crate::answer::{Answer, Filesystem, Runtime};

/// A family of gauges. All have the label `store`.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) value: Value,
}

/// How the values are computed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    /// From every completed query; `None` leaves the value as it was.
    Query(fn(&Ended) -> Option<f64>),
    /// From every answer; `None` removes the series.
    Answer(fn(&Answer) -> Option<f64>),
    /// From every answer, with these labels besides `store`.
    Labelled(&'static [&'static str], fn(&Answer) -> Vec<Row>),
}

/// The end of a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    /// In seconds since the epoch.
    pub(super) at: f64,
    /// Whether the store answered.
    pub(super) answered: bool,
}

/// The values of the labels besides `store`, and the number.
pub(super) type Row = (Vec<String>, f64);

pub(super) const UP: &str = "imagestore_up";
pub(super) const IMAGES: &str = "imagestore_images";
pub(super) const NAMES: &str = "imagestore_image_names";
pub(super) const SIZE: &str = "imagestore_images_size_bytes";
pub(super) const UNTAGGED: &str = "imagestore_untagged_images";
pub(super) const PINNED: &str = "imagestore_pinned_images";
pub(super) const UNUSED: &str = "imagestore_unused_images";
pub(super) const LEFT: &str = "imagestore_filesystem_avail_bytes";
pub(super) const RUNTIME: &str = "imagestore_runtime_info";
pub(super) const WARNING: &str = "imagestore_warning";
pub(super) const LAST_QUERY: &str = "imagestore_last_query_timestamp_seconds";
pub(super) const LAST_SUCCESS: &str = "imagestore_last_success_timestamp_seconds";

/// Every gauge that a query sets.
pub(super) static FAMILIES: &[Family] = &[
    Family {
        name: UP,
        help: "Whether the last completed query of the store succeeded (1) or failed (0).",
        value: Value::Query(|ended| Some(f64::from(ended.answered))),
    },
    Family {
        name: IMAGES,
        help: "Images that the store listed in its last good answer.",
        value: Value::Answer(|answer| answer.contents.images.map(|count| count as f64)),
    },
    Family {
        name: NAMES,
        help: "Names of images that the store listed in its last good answer, where it lists names: an image can have several.",
        value: Value::Answer(|answer| answer.contents.names.map(|count| count as f64)),
    },
    Family {
        name: SIZE,
        help: "Sum in bytes of the sizes that the runtime reports for its images, which is not disk usage: layers that images share count once per image.",
        value: Value::Answer(|answer| answer.contents.size_bytes.map(|bytes| bytes as f64)),
    },
    Family {
        name: "imagestore_largest_image_size_bytes",
        help: "Size in bytes of the largest image, as the runtime reports it.",
        value: Value::Answer(|answer| answer.contents.largest_bytes.map(|bytes| bytes as f64)),
    },
    Family {
        name: UNTAGGED,
        help: "Images without a tag.",
        value: Value::Answer(|answer| answer.contents.untagged.map(|count| count as f64)),
    },
    Family {
        name: PINNED,
        help: "Images that the runtime keeps from garbage collection.",
        value: Value::Answer(|answer| answer.contents.pinned.map(|count| count as f64)),
    },
    Family {
        name: UNUSED,
        help: "Images that no container refers to, running or stopped, and that are not pinned.",
        value: Value::Answer(|answer| answer.contents.unused.map(|count| count as f64)),
    },
    Family {
        name: "imagestore_unused_images_size_bytes",
        help: "Sum in bytes of the sizes that the runtime reports for its unused images, which is not what their removal frees: they may share layers with used ones.",
        value: Value::Answer(|answer| answer.contents.unused_bytes.map(|bytes| bytes as f64)),
    },
    Family {
        name: "imagestore_oldest_image_timestamp_seconds",
        help: "Earliest time of import in seconds since the Unix epoch: of an image or, where the store lists names, of a name's creation.",
        value: Value::Answer(|answer| answer.contents.oldest_seconds.map(|time| time as f64)),
    },
    Family {
        name: "imagestore_newest_image_timestamp_seconds",
        help: "Latest time of import in seconds since the Unix epoch: of an image or, where the store lists names, of a name's creation.",
        value: Value::Answer(|answer| answer.contents.newest_seconds.map(|time| time as f64)),
    },
    Family {
        name: "imagestore_registry_images",
        help: "Images by the registry in their first tag, in their first digest where there is no tag or, where the store lists names, in their first name; they add up to imagestore_images.",
        value: Value::Labelled(&["registry"], |answer| {
            let counts = answer.contents.registries.counts();
            counts
                .map(|(registry, images)| (vec![registry.to_owned()], images as f64))
                .collect()
        }),
    },
    Family {
        name: "imagestore_response_bytes",
        help: "Length in bytes of the store's last complete list of images on the wire, gRPC framing included.",
        value: Value::Answer(|answer| Some(answer.response_bytes as f64)),
    },
    Family {
        name: "imagestore_filesystem_used_bytes",
        help: "Bytes that images use on the file system, as the runtime reports them; it is not the usage of the whole file system.",
        value: Value::Labelled(&["mountpoint"], |answer| {
            by_mountpoint(answer, |filesystem| filesystem.used_bytes)
        }),
    },
    Family {
        name: "imagestore_filesystem_inodes_used",
        help: "Inodes that images use on the file system, as the runtime reports them; it is not the usage of the whole file system.",
        value: Value::Labelled(&["mountpoint"], |answer| {
            by_mountpoint(answer, |filesystem| filesystem.inodes_used)
        }),
    },
    Family {
        name: "imagestore_filesystem_size_bytes",
        help: "Size in bytes of the whole file system, where the service can see the mount point.",
        value: Value::Labelled(&["mountpoint"], |answer| {
            by_mountpoint(answer, |filesystem| filesystem.size_bytes)
        }),
    },
    Family {
        name: LEFT,
        help: "Bytes available to unprivileged users on the whole file system, where the service can see the mount point.",
        value: Value::Labelled(&["mountpoint"], |answer| {
            by_mountpoint(answer, |filesystem| filesystem.avail_bytes)
        }),
    },
    Family {
        name: RUNTIME,
        help: "Always 1: name and version of the runtime that gave the last good answer, and version of its API.",
        value: Value::Labelled(&["runtime", "version", "api_version"], |answer| {
            let labels = |runtime: &Runtime| {
                [&runtime.name, &runtime.version, &runtime.api_version].map(String::clone)
            };
            let runtimes = answer.runtime.iter();
            runtimes
                .map(|runtime| (labels(runtime).to_vec(), 1.0))
                .collect()
        }),
    },
    Family {
        name: WARNING,
        help: "Whether the store's last good answer came with a warning (1), such as that the configured namespace does not exist; the log has it in words.",
        value: Value::Answer(|answer| Some(f64::from(answer.warning.is_some()))),
    },
    Family {
        name: LAST_QUERY,
        help: "End of the last completed query of the store, in seconds since the Unix epoch.",
        value: Value::Query(|ended| Some(ended.at)),
    },
    Family {
        name: LAST_SUCCESS,
        help: "Time of the store's last good answer, in seconds since the Unix epoch; its image numbers date from then.",
        value: Value::Query(|ended| ended.answered.then_some(ended.at)),
    },
];

impl Family {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        FAMILIES.iter().find(|family| family.name == name)
    }

    /// The labels besides `store`.
    pub(super) fn labels(&self) -> &'static [&'static str] {
        match self.value {
            Value::Labelled(labels, _) => labels,
            Value::Query(_) | Value::Answer(_) => &[],
        }
    }
}

fn by_mountpoint(answer: &Answer, number: impl Fn(&Filesystem) -> Option<u64>) -> Vec<Row> {
    let filesystems = answer.filesystems.iter().flatten();
    filesystems
        .filter_map(|filesystem| {
            let number = number(filesystem)? as f64;
            Some((vec![filesystem.mountpoint.clone()], number))
        })
        .collect()
}
