//! Every way to answer a call.

mod language;

use std::time::Duration;

use h2::Reason;
use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::Status;

pub use language::Language;

/// How a call, or for some kinds a connection, is answered.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// The right answer.
    Answer,
    /// Closes every new connection as soon as it is accepted, and an open one at its next call.
    Refuse,
    /// Accepts every new connection and never says a byte of HTTP/2, not even when released. A call on a
    /// connection that was open already hangs.
    Silent,
    /// Speaks something else than HTTP/2 on every new connection. A call on a connection that was open already hangs.
    Speak(Language),
    /// Accepts the call and sends nothing, until released.
    Hang,
    /// Sends the headers and the first half of the message, then nothing, until released.
    HangInBody,
    /// Fails at once, in a trailers-only response.
    Fail(Status),
    /// Sends the whole message, then fails in the trailers.
    FailAfterBody(Status),
    /// Sends the headers and this many messages of the right answer, then fails in the trailers. A method that streams sends
    /// its batches as messages.
    FailAfter(usize, Status),
    /// Sends about half of the message, then closes the connection, with no GOAWAY.
    CutOff,
    /// Sends about half of the message, then RST_STREAM.
    Reset(Reason),
    /// Sends images without end, as fast as the client takes them.
    Flood,
    /// Claims a message of 4 GiB - 1, sends a few bytes of it and ends with status OK.
    Lie,
    /// A well-framed message that is not protobuf, with status OK.
    Garbage,
    /// The right answer and one more image that claims to be longer than the message, with status OK.
    Truncated,
    /// Marks the message as compressed (gzip) in its prefix and in `grpc-encoding`; its bytes are not.
    Compressed,
    /// The right message, then the end of the stream without trailers.
    WithoutTrailers,
    /// Status OK and no message, in a trailers-only response: what grpc-go sends for a stream that is empty.
    NoMessage,
    /// An HTML page with this HTTP status, 200 to 599: what a proxy or a web server would say.
    NotGrpc {
        /// The HTTP status.
        status: u16,
    },
    /// The right answer, under this `content-type`.
    ContentType(String),
    /// A trailers-only response with these fields, as they are.
    Head(HeaderMap),
    /// A message without images, then trailers with these fields, as they are.
    Trailers(HeaderMap),
    /// The right answer, after this long.
    Slow(Duration),
    /// The right answer in DATA frames of so many bytes, at most 32 of them per millisecond.
    Dribble {
        /// Bytes, at least 1.
        chunk: usize,
    },
    /// So many images without any field: two bytes each.
    EmptyImages {
        /// Images, at most 2,000,000,000.
        count: usize,
    },
}

impl Behaviour {
    /// [`Behaviour::Head`] with these fields, and gRPC's `content-type` unless there is one among them. Names are in lower case.
    pub fn head(fields: &[(&'static str, &str)]) -> Self {
        let grpc = ("content-type", "application/grpc");
        Self::Head(header_map([&grpc].into_iter().chain(fields)))
    }

    /// [`Behaviour::Trailers`] with these fields. Names are in lower case.
    pub fn trailers(fields: &[(&'static str, &str)]) -> Self {
        Self::Trailers(header_map(fields))
    }
}

/// Of two fields with one name the later one counts.
fn header_map<'a>(fields: impl IntoIterator<Item = &'a (&'static str, &'a str)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a field's value");
        headers.insert(HeaderName::from_static(name), value);
    }
    headers
}
