//! A call as it arrived.

use std::fmt;
use std::time::Instant;

use http::HeaderMap;

use super::v1alpha::ListImagesRequest;

/// The methods of `v1alpha.PublicAPI` that are served.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Method {
    /// `/v1alpha.PublicAPI/GetInfo`
    GetInfo,
    /// `/v1alpha.PublicAPI/ListImages`
    ListImages,
}

impl Method {
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/v1alpha.PublicAPI/GetInfo" => Some(Self::GetInfo),
            "/v1alpha.PublicAPI/ListImages" => Some(Self::ListImages),
            _ => None,
        }
    }
}

/// The request message of a [`Call`].
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// GetInfo's, which is empty.
    GetInfo,
    /// ListImages'.
    ListImages(ListImagesRequest),
    /// What could not be decoded, or a method that is not served: the gRPC code and text of the answer.
    Refused(i32, String),
}

/// A call as it arrived, request body included.
#[derive(Clone, Debug)]
pub struct Call {
    /// `:path`, such as `/v1alpha.PublicAPI/ListImages`.
    pub path: String,
    /// `:authority`, where there was one.
    pub authority: Option<String>,
    /// All other headers, pseudo headers excepted.
    pub headers: HeaderMap,
    /// The decoded message.
    pub request: Request,
    /// When it had arrived whole.
    pub at: Instant,
    /// On which connection: the first one accepted is 1.
    pub connection: usize,
}

impl Call {
    /// The first value of a header, such as `traceparent`; `None` also when it is not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Which method it was, when it is one that is served.
    pub fn method(&self) -> Option<Method> {
        Method::of(&self.path)
    }
}

/// One line for people.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} connection={}", self.path, self.connection)?;
        match &self.request {
            Request::GetInfo => {}
            Request::ListImages(request) => {
                write!(
                    f,
                    " detail={} filters={}",
                    request.detail,
                    request.filters.len()
                )?;
            }
            Request::Refused(code, message) => write!(f, " refused={code} ({message})")?,
        }
        for name in ["grpc-timeout", "traceparent", "user-agent"] {
            if let Some(value) = self.header(name) {
                write!(f, " {name}={value}")?;
            }
        }
        Ok(())
    }
}
