//! rkt's api-service: `v1alpha.PublicAPI`, see proto/rkt.proto. The only file that sees its generated types.

use std::time::Duration;

use http::HeaderMap;
use prost::Message;
use tonic::{Request, Status, metadata::MetadataMap, transport::Channel};

use super::wire::{self, Call, Visitor};

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated from proto/rkt.proto"
)]
mod v1alpha {
    tonic::include_proto!("v1alpha");
}

/// Lists the images; the answer grows with the store.
pub(super) const LIST_IMAGES: &str = "v1alpha.PublicAPI/ListImages";

/// Versions of rkt and of its API.
pub(super) const GET_INFO: &str = "v1alpha.PublicAPI/GetInfo";

/// What rkt's list says as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    /// Number of images.
    pub(super) images: u64,
    /// Sum of their sizes in bytes; a negative size counts as 0, a sum beyond 64 bits as the largest number.
    pub(super) size_bytes: u64,
    /// Earliest import, in seconds since the epoch.
    pub(super) oldest_seconds: Option<i64>,
    /// Latest import, in seconds since the epoch.
    pub(super) newest_seconds: Option<i64>,
    /// Length of the answer on the wire in bytes.
    pub(super) response_bytes: u64,
}

/// What rkt says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Info {
    /// Empty in rkt's own builds.
    pub(super) version: String,
    /// For example `1.0.0-alpha`.
    pub(super) api_version: String,
}

/// Calls ListImages with `detail=false`: everything but the manifests.
///
/// # Errors
///
/// The store's status, or one that says how the answer broke the protocol or the connection was lost.
pub(super) async fn list_images(
    channel: &mut Channel,
    metadata: HeaderMap,
    timeout: Duration,
) -> Result<Listed, Status> {
    let request = v1alpha::ListImagesRequest {
        filters: Vec::new(),
        detail: false,
    };
    let call = Call {
        path: "/v1alpha.PublicAPI/ListImages",
        request: &request.encode_to_vec(),
        metadata,
        timeout,
    };
    let mut count = Count::default();
    let received = wire::call(channel, call, &mut count).await?;
    match received.messages {
        1 => Ok(Listed {
            response_bytes: received.bytes,
            ..count.listed
        }),
        messages => Err(Status::internal(format!(
            "the answer holds {messages} messages where the method has one"
        ))),
    }
}

/// Calls GetInfo.
///
/// # Errors
///
/// The store's status, or INTERNAL for an answer without its only field.
pub(super) async fn info(
    channel: &mut Channel,
    metadata: HeaderMap,
    timeout: Duration,
) -> Result<Info, Status> {
    let mut request = Request::from_parts(
        MetadataMap::from_headers(metadata),
        tonic::Extensions::default(),
        v1alpha::GetInfoRequest {},
    );
    request.set_timeout(timeout);
    let response = v1alpha::public_api_client::PublicApiClient::new(channel)
        .get_info(request)
        .await?;
    let info = response
        .into_inner()
        .info
        .ok_or_else(|| Status::internal("the answer holds no info"))?;
    Ok(Info {
        version: info.rkt_version,
        api_version: info.api_version,
    })
}

/// Counts the images as they pass.
#[derive(Debug, Default)]
struct Count {
    listed: Listed,
    imported: i64,
    size: i64,
}

impl Count {
    const IMPORT_TIMESTAMP: u32 = 5;
    const SIZE: u32 = 7;
}

impl Visitor for Count {
    fn integer(&mut self, field: u32, value: u64) {
        // The wire carries an int64 as its two's complement.
        match field {
            Self::IMPORT_TIMESTAMP => self.imported = value.cast_signed(),
            Self::SIZE => self.size = value.cast_signed(),
            _ => {}
        }
    }

    fn end(&mut self) {
        let size = u64::try_from(self.size).unwrap_or(0);
        let listed = &mut self.listed;
        listed.images += 1;
        listed.size_bytes = listed.size_bytes.saturating_add(size);
        listed.oldest_seconds = Some(
            listed
                .oldest_seconds
                .map_or(self.imported, |oldest| oldest.min(self.imported)),
        );
        listed.newest_seconds = listed.newest_seconds.max(Some(self.imported));
        self.imported = 0;
        self.size = 0;
    }
}
