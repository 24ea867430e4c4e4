//! Kubernetes runtimes (containerd, CRI-O): `runtime.v1`, see proto/cri.proto. Only this module uses its generated types.

use std::collections::BTreeMap;

use async_trait::async_trait;
use scan::Received;
use tonic::{Code, Status};

use crate::{
    answer::{Filesystem, QueryError, Runtime},
    images::{
        grpc::{self, Calls, Channel, Context},
        kind::{Description, Listed, Store, StoreKind},
        kinds::{
            lists::Lists,
            references::{self, AwaitedReferences, Containers},
        },
        side_call::SideCall,
    },
    words::label,
};

#[allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::all,
    reason = "generated from proto/cri.proto; lists are scanned; only tests decode them"
)]
mod v1 {
    tonic::include_proto!("runtime.v1");
}

mod count;

use count::Count;

/// The kind `cri`.
pub(super) static KIND: StoreKind = StoreKind {
    name: "cri",
    runtimes: "containerd, CRI-O, k3s and other Kubernetes runtimes",
    default_port: None,
    sockets: &[
        ("/run/containerd/containerd.sock", "containerd"),
        ("/run/k3s/containerd/containerd.sock", "k3s"),
        ("/run/crio/crio.sock", "crio"),
        ("/var/run/containerd/containerd.sock", "containerd"),
        ("/var/run/k3s/containerd/containerd.sock", "k3s"),
        ("/var/run/crio/crio.sock", "crio"),
    ],
    parameter: None,
    store: |_| Box::new(Cri::new()),
};

/// Lists the images in one message.
const LIST_IMAGES: &str = "runtime.v1.ImageService/ListImages";

/// Lists the images in many messages; newer runtimes have it.
const STREAM_IMAGES: &str = "runtime.v1.ImageService/StreamImages";

/// Lists the containers in one message.
const LIST_CONTAINERS: &str = "runtime.v1.RuntimeService/ListContainers";

/// Lists the containers in many messages; newer runtimes have it.
const STREAM_CONTAINERS: &str = "runtime.v1.RuntimeService/StreamContainers";

/// A container's fields `image_id` and, for runtimes that lack it, `image_ref`.
const REFERENCES: references::Fields = [10, 5];

/// Name and version of the runtime.
const VERSION: &str = "runtime.v1.RuntimeService/Version";

/// Usage of the file systems that hold images.
const IMAGE_FS_INFO: &str = "runtime.v1.ImageService/ImageFsInfo";

/// Most file systems that are reported; real hosts have one or two.
const MAX_FILESYSTEMS: usize = 16;

/// A store that speaks CRI.
#[derive(Debug)]
struct Cri {
    images: Lists,
    containers: Containers,
    /// The runtime that answered last.
    runtime: Option<Runtime>,
    version: SideCall,
    image_fs_info: SideCall,
}

impl Cri {
    fn new() -> Self {
        Self {
            images: Lists::of(STREAM_IMAGES, LIST_IMAGES, explained),
            containers: Containers::of(STREAM_CONTAINERS, LIST_CONTAINERS, REFERENCES),
            runtime: None,
            version: SideCall::of(VERSION),
            image_fs_info: SideCall::of(IMAGE_FS_INFO),
        }
    }

    /// Remembers the runtime. A new one may stream lists even if the old one did not.
    fn remember(&mut self, runtime: &Runtime) {
        if self.runtime.as_ref().is_some_and(|known| known != runtime) {
            self.images.forget();
            self.containers.forget();
        }
        self.runtime = Some(runtime.clone());
    }
}

#[async_trait(?Send)]
impl Store for Cri {
    async fn list(&mut self, calls: &Calls<'_>) -> Result<Listed, QueryError> {
        let Self {
            images, containers, ..
        } = self;
        let list = async |references: &AwaitedReferences| {
            let count = async || Count::new(references.wait().await.as_ref());
            images.scan(calls, count, listed).await
        };
        containers.beside(calls, list).await
    }

    async fn describe(&mut self, calls: &Calls<'_>) -> Description {
        let (runtime, filesystems) = tokio::join!(
            self.version.call(calls, version),
            self.image_fs_info.call(calls, image_fs_info)
        );
        if let Some(runtime) = &runtime {
            self.remember(runtime);
        }
        Description {
            runtime,
            filesystems,
            warning: None,
        }
    }
}

fn listed(Count { contents, .. }: Count<'_>, received: Received) -> Listed {
    grpc::record(&contents);
    Listed {
        contents,
        bytes: received.bytes,
        warning: None,
    }
}

/// Calls Version.
async fn version(channel: &mut Channel, context: Context) -> Result<Runtime, Status> {
    let request = v1::VersionRequest {
        version: String::new(),
    };
    let answer: v1::VersionResponse = grpc::unary(channel, VERSION, &request, context).await?;
    Ok(Runtime {
        name: label(&answer.runtime_name),
        version: label(&answer.runtime_version),
        api_version: label(&answer.runtime_api_version),
    })
}

/// Calls ImageFsInfo. Returns the first 16 mountpoints by name; file systems with the same mountpoint are added up.
async fn image_fs_info(channel: &mut Channel, context: Context) -> Result<Vec<Filesystem>, Status> {
    let request = v1::ImageFsInfoRequest {};
    let answer: v1::ImageFsInfoResponse =
        grpc::unary(channel, IMAGE_FS_INFO, &request, context).await?;
    let mut by_mountpoint: BTreeMap<String, Filesystem> = BTreeMap::new();
    for usage in answer.image_filesystems {
        let filesystem = filesystem(usage);
        match by_mountpoint.get_mut(&filesystem.mountpoint) {
            Some(known) => add(known, &filesystem),
            None => drop(by_mountpoint.insert(filesystem.mountpoint.clone(), filesystem)),
        }
    }
    Ok(by_mountpoint.into_values().take(MAX_FILESYSTEMS).collect())
}

fn filesystem(usage: v1::FilesystemUsage) -> Filesystem {
    /// For a file system without a mountpoint. Real mountpoints begin with a slash.
    const NOWHERE: &str = "(none)";
    let mountpoint = label(&usage.fs_id.unwrap_or_default().mountpoint);
    Filesystem {
        mountpoint: if mountpoint.is_empty() {
            NOWHERE.to_owned()
        } else {
            mountpoint
        },
        used_bytes: usage.used_bytes.map(|used| used.value),
        inodes_used: usage.inodes_used.map(|used| used.value),
        size_bytes: None,
        avail_bytes: None,
    }
}

fn add(known: &mut Filesystem, other: &Filesystem) {
    let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        _ => a.or(b),
    };
    known.used_bytes = sum(known.used_bytes, other.used_bytes);
    known.inodes_used = sum(known.inodes_used, other.inodes_used);
}

/// containerd's message while it loads its store at startup: 1.x with code UNKNOWN, 2.x with UNAVAILABLE.
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
                "the runtime does not serve runtime.v1: its CRI plugin may be disabled, as in Docker's packages of containerd (for Docker's images, use containerd+unix:///PATH?namespace=moby), or it may serve runtime.v1alpha2 only (containerd before 1.6, CRI-O before 1.20, cri-dockerd before 0.3): {message}"
            ))
        }
        _ => status,
    }
}

#[cfg(test)]
mod tests;
