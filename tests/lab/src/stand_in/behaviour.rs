//! All ways to answer a call.

mod language;

use std::time::Duration;

use h2::Reason;
use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::Status;

pub use language::Language;

/// How the stand-in answers a call. Some kinds apply to connections.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Sends the correct response.
    Answer,
    /// Closes every new connection as soon as it is accepted, and an open one at its next call.
    Refuse,
    /// Accepts every new connection and never sends a byte on it, not even when released. A call on a connection that was open
    /// already hangs.
    Silent,
    /// Speaks another protocol than gRPC on every new connection. A call on a connection that was open already hangs.
    Speak(Language),
    /// Accepts the call and sends nothing, until released.
    Hang,
    /// Sends the headers and the first half of the message, then nothing, until released.
    HangInBody,
    /// Fails at once, with a trailers-only response.
    Fail(Status),
    /// Sends the whole message, then fails in the trailers.
    FailAfterBody(Status),
    /// Sends the headers and this many messages of the correct response, then fails in the trailers. A streaming method sends
    /// each batch as a message.
    FailAfter(usize, Status),
    /// Sends about half of the message, then closes the connection without GOAWAY.
    CutOff,
    /// Sends about half of the message, then RST_STREAM.
    Reset(Reason),
    /// Sends an endless stream of images, as fast as the client reads them.
    Flood,
    /// Announces a message of 4 GiB - 1, sends a few bytes of it and ends with status OK.
    Lie,
    /// Sends a correctly framed message that is not protobuf, with status OK.
    Garbage,
    /// Sends the correct response and one more image that claims to be longer than the message, with status OK.
    Truncated,
    /// Marks the message as compressed (gzip) in its prefix and in `grpc-encoding`. The message itself is not compressed.
    Compressed,
    /// Sends the correct message, then ends the stream without trailers.
    WithoutTrailers,
    /// Sends status OK without a message in a trailers-only response, like grpc-go for an empty stream.
    NoMessage,
    /// Sends an HTML page with this HTTP status, 200 to 599, like a proxy or a web server.
    NotGrpc {
        /// The HTTP status.
        status: u16,
    },
    /// Sends the correct response with this `content-type`.
    ContentType(String),
    /// Sends a trailers-only response with exactly these fields.
    Head(HeaderMap),
    /// Sends a message without images, then trailers with exactly these fields.
    Trailers(HeaderMap),
    /// Sends the correct response after this time.
    Slow(Duration),
    /// Sends the correct response in DATA frames of this size, at most 32 of them per millisecond.
    Dribble {
        /// Bytes per frame, at least 1.
        chunk: usize,
    },
    /// Sends images without any field, of two bytes each.
    EmptyImages {
        /// The number of images, at most 2,000,000,000.
        count: usize,
    },
}

impl Behaviour {
    /// [`Behaviour::Head`] with these fields, and gRPC's `content-type` unless the fields contain one. Names must be in lower
    /// case.
    pub fn head(fields: &[(&'static str, &str)]) -> Self {
        let grpc = ("content-type", "application/grpc");
        Self::Head(header_map([&grpc].into_iter().chain(fields)))
    }

    /// [`Behaviour::Trailers`] with these fields. Names must be in lower case.
    pub fn trailers(fields: &[(&'static str, &str)]) -> Self {
        Self::Trailers(header_map(fields))
    }
}

/// If a name appears twice, the later field wins.
fn header_map<'a>(fields: impl IntoIterator<Item = &'a (&'static str, &'a str)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("the value is valid");
        headers.insert(HeaderName::from_static(name), value);
    }
    headers
}
