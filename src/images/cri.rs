//! Kubernetes runtimes (containerd, CRI-O): `runtime.v1`, see proto/cri.proto. The only file that sees its generated types.

use tonic::{Code, Status, transport::Channel};

use super::{
    contents::{Contents, Image},
    wire::{self, Context, Received, Visitor},
};

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated from proto/cri.proto"
)]
mod v1 {
    tonic::include_proto!("runtime.v1");
}

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
/// As [`list_images`]; UNIMPLEMENTED when the runtime does not have the method. What came before an error is not counted.
pub(super) async fn stream_images(
    channel: &mut Channel,
    context: Context,
) -> Result<(Contents, u64), Status> {
    let request = v1::StreamImagesRequest { filter: None };
    let mut count = Count::new();
    let Received { bytes, .. } = wire::call(channel, STREAM_IMAGES, &request, context, &mut count)
        .await
        .map_err(explained)?;
    count.contents.record();
    Ok((count.contents, bytes))
}

/// Calls Version.
///
/// # Errors
///
/// The runtime's status.
pub(super) async fn version(channel: &mut Channel, context: Context) -> Result<Version, Status> {
    let request = context.request(v1::VersionRequest {
        version: String::new(),
    });
    let answer = v1::runtime_service_client::RuntimeServiceClient::new(channel)
        .version(request)
        .await
        .map_err(wire::lost_status)?
        .into_inner();
    Ok(Version {
        name: answer.runtime_name,
        version: answer.runtime_version,
        api_version: answer.runtime_api_version,
    })
}

/// Calls ImageFsInfo; of the file systems for images the first 16.
///
/// # Errors
///
/// The runtime's status.
pub(super) async fn image_fs_info(
    channel: &mut Channel,
    context: Context,
) -> Result<Vec<Filesystem>, Status> {
    let answer = v1::image_service_client::ImageServiceClient::new(channel)
        .image_fs_info(context.request(v1::ImageFsInfoRequest {}))
        .await
        .map_err(wire::lost_status)?
        .into_inner();
    Ok(answer
        .image_filesystems
        .into_iter()
        .take(MAX_FILESYSTEMS)
        .map(|usage| Filesystem {
            mountpoint: usage.fs_id.unwrap_or_default().mountpoint,
            used_bytes: usage.used_bytes.map(|used| used.value),
            inodes_used: usage.inodes_used.map(|used| used.value),
        })
        .collect())
}

/// What containerd 1.x says, with code UNKNOWN, while it reads its store after a start.
const NOT_INITIALIZED: &str = "server is not initialized yet";

fn explained(status: Status) -> Status {
    let message = status.message();
    match status.code() {
        Code::Unknown if message.contains(NOT_INITIALIZED) => Status::unavailable(format!(
            "the runtime is starting and not ready yet: {message}"
        )),
        Code::Unimplemented if message.contains("unknown service") => Status::unimplemented(
            format!("the runtime does not serve CRI, its plugin may be disabled: {message}"),
        ),
        _ => status,
    }
}

/// Counts the images as they pass.
#[derive(Debug)]
struct Count {
    contents: Contents,
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
            size: 0,
            pinned: false,
            tag: Name::default(),
            digest: Name::default(),
        }
    }
}

impl Visitor for Count {
    fn integer(&mut self, field: u32, value: u64) {
        match field {
            Self::SIZE => self.size = value,
            Self::PINNED => self.pinned = value != 0,
            _ => {}
        }
    }

    fn wanted(&self, field: u32) -> usize {
        match field {
            Self::REPO_TAGS if !self.tag.given => Name::WANTED,
            Self::REPO_DIGESTS if !self.digest.given => Name::WANTED,
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
        let tagged = self.tag.given;
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
            registry: name.given.then(|| name.registry()),
        });
        self.size = 0;
        self.pinned = false;
        self.tag.given = false;
        self.digest.given = false;
    }
}

/// The beginning of the first tag or digest of an image.
#[derive(Debug, Default)]
struct Name {
    given: bool,
    beginning: Vec<u8>,
}

impl Name {
    /// A host name has at most 253 bytes; the port and the slash behind it are room enough.
    const WANTED: usize = 264;

    /// The registry of a name without a host, as container runtimes have it.
    const DEFAULT_REGISTRY: &str = "docker.io";

    /// What that registry was called once; runtimes take it for the same.
    const LEGACY_DEFAULT_REGISTRY: &str = "index.docker.io";

    /// A name whose host is not text, or goes on past what was wanted.
    const NO_REGISTRY: &str = "invalid";

    fn give(&mut self, beginning: &[u8]) {
        if self.given || beginning.is_empty() {
            return;
        }
        self.given = true;
        self.beginning.clear();
        self.beginning.extend_from_slice(beginning);
    }

    /// The part before the first slash, when it can be a host: it has a dot, a port or a capital letter, or is `localhost`
    /// (<https://github.com/distribution/reference>, `splitDockerDomain`). Hosts are compared in lower case (RFC 3986).
    fn registry(&mut self) -> &str {
        let first = match self.beginning.iter().position(|&byte| byte == b'/') {
            Some(slash) => &mut self.beginning[..slash],
            None if self.beginning.len() < Self::WANTED => return Self::DEFAULT_REGISTRY,
            None => return Self::NO_REGISTRY,
        };
        let has_capitals = first.iter().any(u8::is_ascii_uppercase);
        if has_capitals {
            first.make_ascii_lowercase();
        }
        match std::str::from_utf8(first) {
            Ok(host) if host.contains(char::is_control) => Self::NO_REGISTRY,
            Ok(Self::LEGACY_DEFAULT_REGISTRY) => Self::DEFAULT_REGISTRY,
            Ok(host) if has_capitals || host == "localhost" || host.contains(['.', ':']) => host,
            Ok(_) => Self::DEFAULT_REGISTRY,
            Err(_) => Self::NO_REGISTRY,
        }
    }
}

#[cfg(test)]
mod tests;
