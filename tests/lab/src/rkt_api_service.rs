//! A stand-in for rkt's api-service: `v1alpha.PublicAPI/ListImages` and `/GetInfo`, and misbehaviour on command.
//!
//! [`crate::stand_in`] has the code that all stand-ins share.
//!
//! | module | contents |
//! | --- | --- |
//! | `images`, `images/*` | the images in the store |

mod images;

use std::sync::Arc;

use prost::{DecodeError, Message};

use crate::stand_in::{Listing, Protocol};

pub use crate::stand_in::{Behaviour, Language, Reason};
pub use images::{Images, Totals};

use v1alpha::ListImagesRequest;

/// The code generated from `proto/rkt.proto`.
pub mod v1alpha {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    tonic::include_proto!("v1alpha");
}

/// A running stand-in for rkt's api-service.
pub type StandIn = crate::stand_in::StandIn<Rkt>;

/// A call that the stand-in has received.
pub type Call = crate::stand_in::Call<Rkt>;

/// The content of the api-service's responses.
#[derive(Clone, Debug)]
pub struct Rkt {
    images: Arc<Images>,
    info: v1alpha::Info,
}

/// The methods of `v1alpha.PublicAPI` that are served.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Method {
    /// `/v1alpha.PublicAPI/GetInfo`
    GetInfo,
    /// `/v1alpha.PublicAPI/ListImages`
    ListImages,
}

/// The request message of a [`Call`].
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// GetInfo's, which is empty.
    GetInfo,
    /// ListImages'.
    ListImages(ListImagesRequest),
}

impl StandIn {
    /// Changes the images, from the next call on.
    pub fn serve_images(&self, images: Images) {
        self.change_store(|store| store.images = Arc::new(images));
    }

    /// Changes the versions in GetInfo's response, from the next call on. The defaults are `1.30.0`, `0.8.11` and `1.0.0-alpha`.
    pub fn serve_info(&self, info: v1alpha::Info) {
        self.change_store(|store| store.info = info);
    }
}

impl From<Images> for Rkt {
    fn from(images: Images) -> Self {
        Self {
            images: Arc::new(images),
            info: v1alpha::Info {
                rkt_version: "1.30.0".into(),
                appc_version: "0.8.11".into(),
                api_version: "1.0.0-alpha".into(),
            },
        }
    }
}

impl Protocol for Rkt {
    const KIND: &'static str = "rkt";

    type Method = Method;
    type Request = Request;

    fn method(path: &str) -> Option<Method> {
        match path {
            "/v1alpha.PublicAPI/GetInfo" => Some(Method::GetInfo),
            "/v1alpha.PublicAPI/ListImages" => Some(Method::ListImages),
            _ => None,
        }
    }

    fn decode(method: Method, message: &[u8]) -> Result<Request, DecodeError> {
        match method {
            Method::GetInfo => Ok(Request::GetInfo),
            Method::ListImages => ListImagesRequest::decode(message).map(Request::ListImages),
        }
    }

    fn answer(&self, request: &Request) -> Vec<Listing> {
        vec![match request {
            Request::ListImages(_) => self.images.listing(),
            Request::GetInfo => {
                let info = Some(self.info.clone());
                Listing::of_bytes(v1alpha::GetInfoResponse { info }.encode_to_vec())
            }
        }]
    }

    fn generated(count: usize) -> Listing {
        Images::generated(count).listing()
    }
}
