//! A call as it arrived.

use std::fmt;
use std::time::Instant;

use http::HeaderMap;
use tonic::Status;

use super::Protocol;

/// A call as it arrived, request body included.
#[derive(Clone, Debug)]
pub struct Call<P: Protocol> {
    /// `:path`, such as `/v1alpha.PublicAPI/ListImages`.
    pub path: String,
    /// `:authority`, where there was one.
    pub authority: Option<String>,
    /// All other headers, pseudo headers excepted.
    pub headers: HeaderMap,
    /// The decoded message, or the status with which the call was refused.
    pub request: Result<P::Request, Status>,
    /// When it had arrived whole.
    pub at: Instant,
    /// On which connection: the first one accepted is 1.
    pub connection: usize,
}

impl<P: Protocol> Call<P> {
    /// The first value of a header, such as `traceparent`; `None` also when it is not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Which method it was, when it is one that is served.
    pub fn method(&self) -> Option<P::Method> {
        P::method(&self.path)
    }
}

/// One line for people.
impl<P: Protocol> fmt::Display for Call<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} connection={}", self.path, self.connection)?;
        if let Err(status) = &self.request {
            write!(f, " refused={status}")?;
        }
        for name in ["grpc-timeout", "traceparent", "user-agent"] {
            if let Some(value) = self.header(name) {
                write!(f, " {name}={value}")?;
            }
        }
        Ok(())
    }
}
