//! Kubernetes runtimes (containerd, CRI-O): `runtime.v1`, see proto/cri.proto. The only file that sees its generated types.

use std::collections::BTreeMap;

use tonic::{Code, Status};

use super::{
    contents::{Contents, Image},
    peer::Channel,
    runtime::label,
    wire::{self, Context, Received, Visitor},
};

#[allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::all,
    reason = "generated from proto/cri.proto; lists are scanned and not decoded, but by tests"
)]
mod v1 {
    tonic::include_proto!("runtime.v1");
}

mod name;

use name::Name;

/// Lists the images in one message.
pub(super) const LIST_IMAGES: &str = "runtime.v1.ImageService/ListImages";

/// Lists the images in many messages; newer runtimes have it.
pub(super) const STREAM_IMAGES: &str = "runtime.v1.ImageService/StreamImages";

/// Name and version of the runtime.
pub(super) const VERSION: &str = "runtime.v1.RuntimeService/Version";

/// Usage of the file systems that hold images.
pub(super) const IMAGE_FS_INFO: &str = "runtime.v1.ImageService/ImageFsInfo";

/// File systems that are told of at most; real hosts have one or two.
const MAX_FILESYSTEMS: usize = 16;

/// What the runtime says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) api_version: String,
}

/// A file system that holds images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filesystem {
    /// Where it is mounted.
    pub mountpoint: String,
    /// Bytes that images use on it, where the runtime tells.
    pub used_bytes: Option<u64>,
    /// Inodes that images use on it, where the runtime tells.
    pub inodes_used: Option<u64>,
}

/// Calls ListImages without a filter. Also says how long the answer was, in bytes.
///
/// # Errors
///
/// The runtime's status, in clearer words for a runtime that is starting or has CRI disabled; or one that says how the answer
/// broke the protocol or the connection was lost.
pub(super) async fn list_images(
    channel: &mut Channel,
    context: Context,
) -> Result<(Contents, u64), Status> {
    let request = v1::ListImagesRequest { filter: None };
    let mut count = Count::new();
    let received = wire::call(channel, LIST_IMAGES, &request, context, &mut count)
        .await
        .map_err(explained)?;
    received.require_one_message()?;
    count.contents.record();
    Ok((count.contents, received.bytes))
}

/// Calls StreamImages without a filter. Also says how long the answer was, in bytes.
///
/// # Errors
///
/// As [`list_images`]; UNIMPLEMENTED when the runtime does not have the method, if the stream has not `begun`. What came before
/// an error is not counted.
pub(super) async fn stream_images(
    channel: &mut Channel,
    context: Context,
    begun: &mut bool,
) -> Result<(Contents, u64), Status> {
    let request = v1::StreamImagesRequest { filter: None };
    let mut count = Count::new();
    let streamed = wire::call(channel, STREAM_IMAGES, &request, context, &mut count).await;
    *begun = count.begun;
    let Received { bytes, .. } = streamed.map_err(explained)?;
    count.contents.record();
    Ok((count.contents, bytes))
}

/// Calls Version.
///
/// # Errors
///
/// The runtime's status.
pub(super) async fn version(channel: &mut Channel, context: Context) -> Result<Version, Status> {
    let request = v1::VersionRequest {
        version: String::new(),
    };
    let answer: v1::VersionResponse = wire::ask(channel, VERSION, &request, context).await?;
    Ok(Version {
        name: answer.runtime_name,
        version: answer.runtime_version,
        api_version: answer.runtime_api_version,
    })
}

/// Calls ImageFsInfo; of the mountpoints with file systems for images the first 16 by name.
///
/// # Errors
///
/// The runtime's status.
pub(super) async fn image_fs_info(
    channel: &mut Channel,
    context: Context,
) -> Result<Vec<Filesystem>, Status> {
    let request = v1::ImageFsInfoRequest {};
    let answer: v1::ImageFsInfoResponse =
        wire::ask(channel, IMAGE_FS_INFO, &request, context).await?;
    let mut by_mountpoint: BTreeMap<String, Filesystem> = BTreeMap::new();
    for filesystem in answer.image_filesystems.into_iter().map(Filesystem::from) {
        match by_mountpoint.get_mut(&filesystem.mountpoint) {
            Some(known) => known.add(&filesystem),
            None => drop(by_mountpoint.insert(filesystem.mountpoint.clone(), filesystem)),
        }
    }
    Ok(by_mountpoint.into_values().take(MAX_FILESYSTEMS).collect())
}

impl From<v1::FilesystemUsage> for Filesystem {
    fn from(usage: v1::FilesystemUsage) -> Self {
        /// Of a file system of which the runtime does not say where it is mounted. A mountpoint begins with a slash.
        const NOWHERE: &str = "(none)";
        let mountpoint = label(&usage.fs_id.unwrap_or_default().mountpoint);
        Self {
            mountpoint: if mountpoint.is_empty() {
                NOWHERE.to_owned()
            } else {
                mountpoint
            },
            used_bytes: usage.used_bytes.map(|used| used.value),
            inodes_used: usage.inodes_used.map(|used| used.value),
        }
    }
}

impl Filesystem {
    fn add(&mut self, other: &Self) {
        let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            _ => a.or(b),
        };
        self.used_bytes = sum(self.used_bytes, other.used_bytes);
        self.inodes_used = sum(self.inodes_used, other.inodes_used);
    }
}

/// What containerd says while it reads its store after a start: 1.x with code UNKNOWN, 2.x with UNAVAILABLE.
const NOT_INITIALIZED: &str = "server is not initialized yet";

fn explained(status: Status) -> Status {
    let message = status.message();
    match status.code() {
        Code::Unknown | Code::Unavailable if message.contains(NOT_INITIALIZED) => {
            Status::unavailable(format!(
                "the runtime is starting and not ready yet: {message}"
            ))
        }
        Code::Unimplemented if message.contains("unknown service") => {
            Status::unimplemented(format!(
                "the runtime does not serve runtime.v1: its CRI plugin may be disabled, or it may serve runtime.v1alpha2 only (containerd before 1.6, CRI-O before 1.20, cri-dockerd before 0.3): {message}"
            ))
        }
        _ => status,
    }
}

/// Counts the images as they pass.
#[derive(Debug)]
struct Count {
    contents: Contents,
    /// Whether a message has begun.
    begun: bool,
    size: u64,
    pinned: bool,
    tag: Name,
    digest: Name,
}

impl Count {
    const REPO_TAGS: u32 = 2;
    const REPO_DIGESTS: u32 = 3;
    const SIZE: u32 = 4;
    const PINNED: u32 = 8;

    fn new() -> Self {
        Self {
            contents: Contents::with_tags_and_pins(),
            begun: false,
            size: 0,
            pinned: false,
            tag: Name::default(),
            digest: Name::default(),
        }
    }
}

impl Visitor for Count {
    fn begin_message(&mut self) {
        self.begun = true;
    }

    fn integer(&mut self, field: u32, value: u64) {
        match field {
            Self::SIZE => self.size = value,
            Self::PINNED => self.pinned = value != 0,
            _ => {}
        }
    }

    fn wanted(&self, field: u32) -> usize {
        match field {
            Self::REPO_TAGS if !self.tag.is_given() => Name::WANTED,
            Self::REPO_DIGESTS if !self.digest.is_given() => Name::WANTED,
            _ => 0,
        }
    }

    fn bytes(&mut self, field: u32, beginning: &[u8]) {
        match field {
            Self::REPO_TAGS => self.tag.give(beginning),
            Self::REPO_DIGESTS => self.digest.give(beginning),
            _ => {}
        }
    }

    fn end(&mut self) {
        let tagged = self.tag.is_given();
        let name = if tagged {
            &mut self.tag
        } else {
            &mut self.digest
        };
        self.contents.add(Image {
            size_bytes: self.size,
            imported_seconds: None,
            tagged: Some(tagged),
            pinned: Some(self.pinned),
            registry: Some(name.registry()),
        });
        self.size = 0;
        self.pinned = false;
        self.tag.forget();
        self.digest.forget();
    }
}

#[cfg(test)]
mod tests;
