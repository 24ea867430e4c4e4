//! A received call.

use std::fmt;
use std::time::Instant;

use http::HeaderMap;
use tonic::Status;

use super::Protocol;

/// A received call, including its request message.
#[derive(Clone, Debug)]
pub struct Call<P: Protocol> {
    /// `:path`, such as `/v1alpha.PublicAPI/ListImages`.
    pub path: String,
    /// `:authority`, if present.
    pub authority: Option<String>,
    /// All headers except pseudo-headers.
    pub headers: HeaderMap,
    /// The decoded message, or the status with which the stand-in refused the call.
    pub request: Result<P::Request, Status>,
    /// The time at which the whole request had arrived.
    pub at: Instant,
    /// The number of its connection; the first accepted connection is 1.
    pub connection: usize,
}

impl<P: Protocol> Call<P> {
    /// The first value of a header, such as `traceparent`; `None` if it is missing or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The method; `None` if it is not served.
    pub fn method(&self) -> Option<P::Method> {
        P::method(&self.path)
    }
}

/// One line for humans.
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
