//! A generated CRI client that decodes whole responses, to compare counts with.

use std::path::Path;

use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::v1::image_service_client::ImageServiceClient;
use super::v1::{Image, ListImagesRequest, StreamImagesRequest};

/// All images of the runtime at this socket.
///
/// # Errors
///
/// The runtime's status; UNKNOWN or UNAVAILABLE if the connection fails.
pub fn list_images(socket: &Path) -> Result<Vec<Image>, Status> {
    in_runtime(async {
        let mut client =
            ImageServiceClient::new(connect(socket).await?).max_decoding_message_size(usize::MAX);
        let response = client
            .list_images(ListImagesRequest { filter: None })
            .await?;
        Ok(response.into_inner().images)
    })
}

/// The images of the runtime at this socket in the batches of StreamImages, and the end of the stream.
pub fn stream_images(socket: &Path) -> (Vec<Vec<Image>>, Result<(), Status>) {
    let mut batches = Vec::new();
    let end = in_runtime(async {
        let mut client = ImageServiceClient::new(connect(socket).await?);
        let request = StreamImagesRequest { filter: None };
        let mut stream = client.stream_images(request).await?.into_inner();
        while let Some(batch) = stream.message().await? {
            batches.push(batch.images);
        }
        Ok(())
    });
    (batches, end)
}

pub(crate) async fn connect(socket: &Path) -> Result<Channel, Status> {
    let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()));
    let endpoint = endpoint.expect("every path is a valid endpoint");
    endpoint
        .connect()
        .await
        .map_err(|error| Status::from_error(error.into()))
}

pub(crate) fn in_runtime<T>(client: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs a few file descriptors");
    runtime.block_on(client)
}
