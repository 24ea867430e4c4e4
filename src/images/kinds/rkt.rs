//! rkt's api-service: `v1alpha.PublicAPI`, see proto/rkt.proto. Only this module uses its generated types.

use async_trait::async_trait;
use scan::Visitor;
use tonic::Status;

use crate::{
    answer::{Contents, Image, QueryError, Runtime},
    images::{
        grpc::{self, Calls, Channel, Context},
        kind::{Description, Listed, Store, StoreKind},
        kinds::timestamp::plausible,
        side_call::SideCall,
    },
    words::label,
};

#[allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::all,
    reason = "generated from proto/rkt.proto; lists are scanned; only tests decode them"
)]
mod v1alpha {
    tonic::include_proto!("v1alpha");
}

/// The kind `rkt`.
pub(super) static KIND: StoreKind = StoreKind {
    name: "rkt",
    runtimes: "rkt's api-service",
    // See `rkt api-service --help`.
    default_port: Some(15441),
    sockets: &[],
    parameter: None,
    store: |_| {
        Box::new(Rkt {
            info: SideCall::of(GET_INFO),
        })
    },
};

/// Lists the images; the answer grows with the store.
const LIST_IMAGES: &str = "v1alpha.PublicAPI/ListImages";

/// Versions of rkt and of its API.
const GET_INFO: &str = "v1alpha.PublicAPI/GetInfo";

#[derive(Debug)]
struct Rkt {
    info: SideCall,
}

#[async_trait(?Send)]
impl Store for Rkt {
    async fn list(&mut self, calls: &Calls<'_>) -> Result<Listed, QueryError> {
        calls.call(LIST_IMAGES, list_images).await
    }

    async fn describe(&mut self, calls: &Calls<'_>) -> Description {
        Description {
            runtime: self.info.call(calls, info).await,
            filesystems: None,
            warning: None,
        }
    }
}

/// Calls ListImages with `detail=false`: everything but the manifests.
async fn list_images(channel: &mut Channel, context: Context) -> Result<Listed, Status> {
    let request = v1alpha::ListImagesRequest {
        filters: Vec::new(),
        detail: false,
    };
    let mut count = Count::default();
    let mut reply = grpc::ask(channel, LIST_IMAGES, &request, context).await?;
    let received = reply.scan(&mut count).await?;
    grpc::require_one_message(received.messages)?;
    grpc::record(&count.contents);
    Ok(Listed {
        contents: count.contents,
        bytes: received.bytes,
        warning: None,
    })
}

/// Calls GetInfo. rkt's own builds leave their version empty.
async fn info(channel: &mut Channel, context: Context) -> Result<Runtime, Status> {
    let request = v1alpha::GetInfoRequest {};
    let answer: v1alpha::GetInfoResponse =
        grpc::unary(channel, GET_INFO, &request, context).await?;
    let info = answer
        .info
        .ok_or_else(|| Status::internal("the answer holds no info"))?;
    Ok(Runtime {
        name: "rkt".to_owned(),
        version: label(&info.rkt_version),
        api_version: label(&info.api_version),
    })
}

/// Counts the images as they arrive.
#[derive(Debug, Default)]
struct Count {
    contents: Contents,
    import_timestamp: i64,
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
            Self::IMPORT_TIMESTAMP => self.import_timestamp = value.cast_signed(),
            Self::SIZE => self.size = value.cast_signed(),
            _ => {}
        }
    }

    fn end(&mut self) {
        self.contents.add(Image {
            // A negative size, which the protocol permits, counts as 0.
            size_bytes: u64::try_from(self.size).unwrap_or(0),
            imported_seconds: plausible(self.import_timestamp),
            ..Image::default()
        });
        self.import_timestamp = 0;
        self.size = 0;
    }
}

#[cfg(test)]
mod tests;
