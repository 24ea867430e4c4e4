//! A generated client of containerd's own API that decodes whole responses, to compare counts with.

use std::path::Path;

use tonic::{Request, Status};

use super::NAMESPACE;
use super::v1::images::images_client::ImagesClient;
use super::v1::images::{Image, ListImagesRequest};
use crate::cri_runtime::client::{connect, in_runtime};

/// The names of images in a namespace of the containerd at this socket. A real one refuses the call without a namespace.
///
/// # Errors
///
/// containerd's status; UNKNOWN or UNAVAILABLE if the connection fails.
pub fn list_images(socket: &Path, namespace: Option<&str>) -> Result<Vec<Image>, Status> {
    in_runtime(async {
        let mut client = ImagesClient::new(connect(socket).await?);
        let mut request = Request::new(ListImagesRequest::default());
        if let Some(namespace) = namespace {
            let namespace = namespace.parse().expect("a namespace is ASCII");
            request.metadata_mut().insert(NAMESPACE, namespace);
        }
        Ok(client.list(request).await?.into_inner().images)
    })
}
