//! A stand-in for containerd's own API: `containerd.services.{images,namespaces,version}.v1`, and misbehaviour on command.
//!
//! [`crate::stand_in`] has the code that all stand-ins share. [`crate::containerd`] is a real containerd; this one is for what that
//! cannot do.
//!
//! | module | contents |
//! | --- | --- |
//! | `names` | the names of images in a namespace |
//! | `client` | a client that decodes whole responses, to compare counts with |

pub mod client;
mod names;

use std::collections::BTreeMap;

use http::HeaderMap;
use prost::{DecodeError, Message};
use tonic::Status;

use crate::stand_in::{Listing, Protocol};

pub use crate::stand_in::Behaviour;
pub use names::{Names, image};

use v1::namespaces::{ListNamespacesResponse, Namespace};

/// The code generated from `proto/containerd-*.proto`.
pub mod v1 {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    /// The images' names.
    pub mod images {
        tonic::include_proto!("containerd.services.images.v1");
    }
    /// The namespaces.
    pub mod namespaces {
        tonic::include_proto!("containerd.services.namespaces.v1");
    }
    /// The version.
    pub mod version {
        tonic::include_proto!("containerd.services.version.v1");
    }
}

/// The metadata that names the namespace of a call.
const NAMESPACE: &str = "containerd-namespace";

/// A running stand-in for containerd.
pub type StandIn = crate::stand_in::StandIn<Api>;

/// The content of the responses.
#[derive(Clone, Debug)]
pub struct Api {
    namespaces: BTreeMap<String, Names>,
}

/// The methods that are served.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Method {
    /// `/containerd.services.images.v1.Images/List`
    Images,
    /// `/containerd.services.namespaces.v1.Namespaces/List`
    Namespaces,
    /// `/containerd.services.version.v1.Version/Version`
    Version,
}

/// The request of a [`Call`](crate::stand_in::Call).
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// For the images in this namespace.
    Images(String),
    /// For the namespaces.
    Namespaces,
    /// For the version.
    Version,
}

impl StandIn {
    /// Changes the names of images in a namespace, from the next call on. A new namespace is made.
    pub fn serve_names(&self, namespace: &str, names: Names) {
        self.change_store(|store| {
            store.namespaces.insert(namespace.to_owned(), names);
        });
    }

    /// The value for the service's `--store`.
    pub fn url_of(&self, namespace: &str) -> String {
        format!("{}?namespace={namespace}", self.url())
    }
}

/// The names of images in the namespace `moby`, the only one.
impl From<Names> for Api {
    fn from(names: Names) -> Self {
        Self {
            namespaces: [("moby".to_owned(), names)].into(),
        }
    }
}

impl Protocol for Api {
    const KIND: &'static str = "containerd";

    type Method = Method;
    type Request = Request;

    fn method(path: &str) -> Option<Method> {
        match path {
            "/containerd.services.images.v1.Images/List" => Some(Method::Images),
            "/containerd.services.namespaces.v1.Namespaces/List" => Some(Method::Namespaces),
            "/containerd.services.version.v1.Version/Version" => Some(Method::Version),
            _ => None,
        }
    }

    fn decode(method: Method, message: &[u8]) -> Result<Request, DecodeError> {
        Ok(match method {
            Method::Images => {
                v1::images::ListImagesRequest::decode(message)?;
                Request::Images(String::new())
            }
            Method::Namespaces => {
                v1::namespaces::ListNamespacesRequest::decode(message)?;
                Request::Namespaces
            }
            Method::Version => Request::Version,
        })
    }

    fn with_metadata(request: Request, metadata: &HeaderMap) -> Result<Request, Status> {
        if !matches!(request, Request::Images(_)) {
            return Ok(request);
        }
        let namespace = metadata.get(NAMESPACE).and_then(|name| name.to_str().ok());
        let namespace = namespace.ok_or_else(|| {
            Status::failed_precondition("namespace is required: failed precondition")
        })?;
        Ok(Request::Images(namespace.to_owned()))
    }

    fn answer(&self, request: &Request) -> Vec<Listing> {
        vec![match request {
            Request::Images(namespace) => match self.namespaces.get(namespace) {
                Some(names) => names.listing(),
                None => Listing::of_bytes(""),
            },
            Request::Namespaces => {
                let names = self.namespaces.keys().cloned();
                let namespaces = names.map(|name| Namespace {
                    name,
                    ..Namespace::default()
                });
                let namespaces = namespaces.collect();
                Listing::of_bytes(ListNamespacesResponse { namespaces }.encode_to_vec())
            }
            Request::Version => {
                let version = v1::version::VersionResponse {
                    version: "1.0.0".to_owned(),
                    revision: String::new(),
                };
                Listing::of_bytes(version.encode_to_vec())
            }
        }]
    }

    fn generated(count: usize) -> Listing {
        Names::generated(count).listing()
    }
}
