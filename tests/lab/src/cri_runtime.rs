//! A stand-in for a Kubernetes runtime (containerd, CRI-O): the part of CRI that the service uses, and misbehaviour on command.
//!
//! [`crate::stand_in`] has the code that all stand-ins share. This one serves `runtime.v1.ImageService` (ListImages,
//! StreamImages, ImageFsInfo) and `runtime.v1.RuntimeService` (Version, ListContainers, StreamContainers); [`StandIn::without`]
//! removes methods.
//!
//! | module | contents |
//! | --- | --- |
//! | `images` | the images in the store |
//! | `client` | a client that decodes whole responses, to compare counts with |

pub mod client;
mod images;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use prost::{DecodeError, Message};
use tonic::Status;

use crate::stand_in::{Listing, Protocol};

pub use crate::stand_in::{Behaviour, Reason};
pub use images::{Image, Images, Totals};

use v1::{Container, FilesystemUsage, ImageFsInfoResponse, VersionResponse};

/// The code generated from `proto/cri.proto`.
pub mod v1 {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    tonic::include_proto!("runtime.v1");
}

/// Images, or containers, per message of a stream, as in CRI-O.
const BATCH: usize = 3_000;

/// A running stand-in for a runtime.
pub type StandIn = crate::stand_in::StandIn<Cri>;

/// A call that the stand-in has received.
pub type Call = crate::stand_in::Call<Cri>;

/// The content of the runtime's responses.
#[derive(Clone, Debug)]
pub struct Cri {
    images: Images,
    batch: usize,
    version: VersionResponse,
    filesystems: Vec<FilesystemUsage>,
    containers: Arc<[Container]>,
}

/// The methods that are served.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Method {
    /// `/runtime.v1.ImageService/ListImages`
    ListImages,
    /// `/runtime.v1.ImageService/StreamImages`
    StreamImages,
    /// `/runtime.v1.ImageService/ImageFsInfo`
    ImageFsInfo,
    /// `/runtime.v1.RuntimeService/Version`
    Version,
    /// `/runtime.v1.RuntimeService/ListContainers`
    ListContainers,
    /// `/runtime.v1.RuntimeService/StreamContainers`
    StreamContainers,
}

/// The request message of a [`Call`].
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// ListImages'.
    ListImages(v1::ListImagesRequest),
    /// StreamImages'.
    StreamImages(v1::StreamImagesRequest),
    /// ImageFsInfo's, which is empty.
    ImageFsInfo,
    /// Version's.
    Version(v1::VersionRequest),
    /// ListContainers', which is empty.
    ListContainers,
    /// StreamContainers', which is empty.
    StreamContainers,
}

impl StandIn {
    /// Changes the images, from the next call on.
    pub fn serve_images(&self, images: Images) {
        self.change_store(|store| store.images = images);
    }

    /// Sets the number of images per message of StreamImages, at least 1, from the next call on.
    pub fn serve_batches_of(&self, images: usize) {
        self.change_store(|store| store.batch = images);
    }

    /// Changes the runtime's name and version, from the next call on. The defaults are `stand-in` and `1.0.0`.
    pub fn serve_version(&self, name: &str, version: &str) {
        self.change_store(|store| store.version = version_response(name, version));
    }

    /// Changes the image file systems, from the next call on. By default there is one.
    pub fn serve_filesystems(&self, filesystems: Vec<FilesystemUsage>) {
        self.change_store(|store| store.filesystems = filesystems);
    }

    /// Changes the containers, from the next call on. By default there are none.
    pub fn serve_containers(&self, containers: impl IntoIterator<Item = Container>) {
        let containers = containers.into_iter().collect();
        self.change_store(|store| store.containers = containers);
    }

    /// Answers like a runtime that does not implement this method.
    pub fn without(&self, method: Method) {
        self.behave_for(method, method.missing());
    }
}

impl Method {
    const ALL: [Self; 6] = [
        Self::ListImages,
        Self::StreamImages,
        Self::ImageFsInfo,
        Self::Version,
        Self::ListContainers,
        Self::StreamContainers,
    ];

    /// Service and method name.
    fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::ListImages => (IMAGE_SERVICE, "ListImages"),
            Self::StreamImages => (IMAGE_SERVICE, "StreamImages"),
            Self::ImageFsInfo => (IMAGE_SERVICE, "ImageFsInfo"),
            Self::Version => (RUNTIME_SERVICE, "Version"),
            Self::ListContainers => (RUNTIME_SERVICE, "ListContainers"),
            Self::StreamContainers => (RUNTIME_SERVICE, "StreamContainers"),
        }
    }

    /// The response of a server that implements the service but not this method, in grpc-go's words.
    pub fn missing(self) -> Behaviour {
        let (service, method) = self.parts();
        let message = format!("unknown method {method} for service {service}");
        Behaviour::Fail(Status::unimplemented(message))
    }
}

const IMAGE_SERVICE: &str = "runtime.v1.ImageService";
const RUNTIME_SERVICE: &str = "runtime.v1.RuntimeService";

impl From<Images> for Cri {
    fn from(images: Images) -> Self {
        Self {
            images,
            batch: BATCH,
            version: version_response("stand-in", "1.0.0"),
            filesystems: vec![filesystem("/var/lib/stand-in", 4096, 16)],
            containers: Arc::default(),
        }
    }
}

impl Cri {
    /// A message with these containers.
    fn containers(&self, which: Range<usize>) -> Listing {
        let containers = self.containers.clone();
        Listing::of(which.map(move |place| containers[place].clone()))
    }
}

/// A container of the image with this id, as runtimes list it since Kubernetes 1.29.
pub fn container(image_id: impl Into<String>) -> Container {
    Container {
        image_id: image_id.into(),
        ..Container::default()
    }
}

fn version_response(name: &str, version: &str) -> VersionResponse {
    VersionResponse {
        version: "0.1.0".into(),
        runtime_name: name.into(),
        runtime_version: version.into(),
        runtime_api_version: "v1".into(),
    }
}

/// A file system in ImageFsInfo's response.
pub fn filesystem(mountpoint: &str, used_bytes: u64, inodes_used: u64) -> FilesystemUsage {
    FilesystemUsage {
        timestamp: 1_700_000_000_000_000_000,
        fs_id: Some(v1::FilesystemIdentifier {
            mountpoint: mountpoint.into(),
        }),
        used_bytes: Some(v1::UInt64Value { value: used_bytes }),
        inodes_used: Some(v1::UInt64Value { value: inodes_used }),
    }
}

impl Protocol for Cri {
    const KIND: &'static str = "cri";

    type Method = Method;
    type Request = Request;

    fn method(path: &str) -> Option<Method> {
        let (service, method) = path.strip_prefix('/')?.split_once('/')?;
        Method::ALL
            .into_iter()
            .find(|served| served.parts() == (service, method))
    }

    fn decode(method: Method, message: &[u8]) -> Result<Request, DecodeError> {
        Ok(match method {
            Method::ListImages => Request::ListImages(Message::decode(message)?),
            Method::StreamImages => Request::StreamImages(Message::decode(message)?),
            Method::ImageFsInfo => Request::ImageFsInfo,
            Method::Version => Request::Version(Message::decode(message)?),
            Method::ListContainers => Request::ListContainers,
            Method::StreamContainers => Request::StreamContainers,
        })
    }

    fn answer(&self, request: &Request) -> Vec<Listing> {
        match request {
            Request::ListImages(_) => vec![self.images.listing()],
            Request::StreamImages(_) => self.images.batches(self.batch),
            Request::ImageFsInfo => {
                let response = ImageFsInfoResponse {
                    image_filesystems: self.filesystems.clone(),
                    container_filesystems: vec![filesystem("/run/containers", 1, 1)],
                };
                vec![Listing::of_bytes(response.encode_to_vec())]
            }
            Request::ListContainers => vec![self.containers(0..self.containers.len())],
            Request::StreamContainers => {
                let count = self.containers.len();
                let begins = (0..count).step_by(BATCH);
                begins
                    .map(|begin| self.containers(begin..count.min(begin + BATCH)))
                    .collect()
            }
            Request::Version(_) => vec![Listing::of_bytes(self.version.encode_to_vec())],
        }
    }

    fn generated(count: usize) -> Listing {
        Images::generated(count).listing()
    }
}
