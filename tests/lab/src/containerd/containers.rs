//! Containers in a real containerd: made over CRI and by `ctr`, listed by generated clients, and compared with the images.
//!
//! Each container over CRI has a pod of its own on the host's network. A running one needs an image with [`Layer::of_pause`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

use super::release::SNAPSHOTTER;
use super::{Containerd, Layer, OciImage, PAUSE_IMAGE};
use crate::cri_runtime::client::{connect, in_runtime};
use crate::cri_runtime::v1::Image;

use cri::runtime_service_client::RuntimeServiceClient;
use cri::{
    ContainerConfig, ContainerMetadata, CreateContainerRequest, ImageSpec, LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext, ListContainersRequest, NamespaceMode, NamespaceOption,
    PodSandboxConfig, PodSandboxMetadata, RemoveContainerRequest, RunPodSandboxRequest,
    StartContainerRequest, StopContainerRequest, StreamContainersRequest,
};
use native::containers_client::ContainersClient;

pub use cri::{Container, ContainerState};

/// The code generated from `proto/pods.proto`.
mod cri {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/tests/runtime.v1.rs"));
}

/// The code generated from `proto/containerd-containers.proto`.
mod native {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    tonic::include_proto!("containerd.services.containers.v1");
}

/// A call of CRI's RuntimeService, which succeeds.
macro_rules! call {
    ($containerd:expr, $method:ident, $request:expr) => {
        in_runtime(async {
            let channel = connect($containerd.socket()).await?;
            let answer = RuntimeServiceClient::new(channel).$method($request).await;
            answer.map(tonic::Response::into_inner)
        })
        .unwrap_or_else(|status: Status| panic!("{status:?}\n{}", $containerd.log()))
    };
}

impl Containerd {
    /// Creates a container of this image, which may be given by name or by id, and returns the container's id. The image of its pod's
    /// sandbox, [`PAUSE_IMAGE`], is imported if it is missing.
    #[track_caller]
    pub fn create_container(&self, image: &str) -> String {
        static PODS: AtomicUsize = AtomicUsize::new(0);
        let names = self.ctr_digests("k8s.io");
        if !names.contains_key(PAUSE_IMAGE) {
            self.import(&[OciImage::named(PAUSE_IMAGE).with(&Layer::of_pause())]);
        }
        let pod = pod(PODS.fetch_add(1, Ordering::Relaxed));
        let request = RunPodSandboxRequest {
            config: Some(pod.clone()),
        };
        let sandbox = call!(self, run_pod_sandbox, request).pod_sandbox_id;
        let image = image.to_owned();
        let request = CreateContainerRequest {
            pod_sandbox_id: sandbox,
            config: Some(ContainerConfig {
                metadata: Some(ContainerMetadata {
                    name: "container".into(),
                }),
                image: Some(ImageSpec { image }),
            }),
            sandbox_config: Some(pod),
        };
        call!(self, create_container, request).container_id
    }

    /// Starts a created container.
    #[track_caller]
    pub fn start_container(&self, id: &str) {
        let container_id = id.to_owned();
        call!(
            self,
            start_container,
            StartContainerRequest { container_id }
        );
    }

    /// Kills a container. It has exited, and is still listed.
    #[track_caller]
    pub fn stop_container(&self, id: &str) {
        let request = StopContainerRequest {
            container_id: id.to_owned(),
            timeout: 0,
        };
        call!(self, stop_container, request);
    }

    /// Removes a container, running or not.
    #[track_caller]
    pub fn remove_container(&self, id: &str) {
        let container_id = id.to_owned();
        call!(
            self,
            remove_container,
            RemoveContainerRequest { container_id }
        );
    }

    /// Creates a container without a task in this namespace.
    #[track_caller]
    pub fn create_native_container(&self, namespace: &str, image: &str, id: &str) {
        let create = ["containers", "create", "--snapshotter", SNAPSHOTTER];
        self.ctr_in(namespace, &[&create[..], &[image, id]].concat());
    }

    /// The containers that CRI lists, without sandboxes.
    #[track_caller]
    pub fn containers(&self) -> Vec<Container> {
        call!(self, list_containers, ListContainersRequest {}).containers
    }

    /// The same from StreamContainers.
    ///
    /// # Errors
    ///
    /// The status of the failed call: UNIMPLEMENTED from Debian's.
    pub fn streamed_containers(&self) -> Result<Vec<Container>, Status> {
        in_runtime(async {
            let mut client = RuntimeServiceClient::new(connect(self.socket()).await?);
            let request = StreamContainersRequest {};
            let mut stream = client.stream_containers(request).await?.into_inner();
            let mut containers = Vec::new();
            while let Some(batch) = stream.message().await? {
                containers.extend(batch.containers);
            }
            Ok(containers)
        })
    }

    /// The images that CRI lists and no container of CRI refers to. The sandboxes' image is one of them.
    #[track_caller]
    pub fn unused_images(&self) -> Vec<Image> {
        let containers = self.containers();
        let mut images = self.images().expect("containerd serves CRI");
        images.retain(|image| !containers.iter().any(|used| used.image_ref == image.id));
        images
    }

    /// The containers of a namespace and the names of their images, from containerd's own API. A container without an image has an empty
    /// name. In `k8s.io`, sandboxes are listed too.
    #[track_caller]
    pub fn native_containers(&self, namespace: &'static str) -> BTreeMap<String, String> {
        let listed = in_runtime(async {
            let channel = connect(self.socket()).await?;
            let mut request = Request::new(native::ListContainersRequest::default());
            let namespace = MetadataValue::from_static(namespace);
            request
                .metadata_mut()
                .insert("containerd-namespace", namespace);
            ContainersClient::new(channel).list(request).await
        });
        let listed = listed.unwrap_or_else(|status| panic!("{status:?}\n{}", self.log()));
        let containers = listed.into_inner().containers.into_iter();
        containers
            .map(|container| (container.id, container.image))
            .collect()
    }

    /// The images of a namespace, each with all of its names, of which no container uses any, by containerd's own API.
    #[track_caller]
    pub fn unused_native_images(&self, namespace: &'static str) -> BTreeSet<Vec<String>> {
        let containers = self.native_containers(namespace);
        let mut images = BTreeMap::<_, Vec<String>>::new();
        for (name, digest) in self.ctr_digests(namespace) {
            images.entry(digest).or_default().push(name);
        }
        let used = |name: &String| containers.values().any(|image| image == name);
        images
            .into_values()
            .filter(|names| !names.iter().any(used))
            .collect()
    }
}

/// A pod on the host's network, which needs no CNI.
fn pod(ordinal: usize) -> PodSandboxConfig {
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: format!("pod-{ordinal}"),
            uid: format!("uid-{ordinal}"),
            namespace: "tests".into(),
        }),
        linux: Some(LinuxPodSandboxConfig {
            security_context: Some(LinuxSandboxSecurityContext {
                namespace_options: Some(NamespaceOption {
                    network: NamespaceMode::Node.into(),
                }),
            }),
        }),
    }
}
