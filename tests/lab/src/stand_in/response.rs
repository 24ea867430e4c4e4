//! What is written in answer to a call, well or badly.

mod body;

use std::future;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tokio::sync::{mpsc, watch};

use super::Behaviour;
use super::Protocol;
use super::behaviour::Fields;
use super::call::Refusal;
use super::connection::Connection;
use super::listing::Listing;
use super::message::{Compressed, Messages};

use body::Frames;
pub(super) use body::ResponseBody;

/// A prefix that claims 4 GiB - 1, and the beginning of an image.
const LIE: &[u8] = b"\x00\xff\xff\xff\xff\x0a\x7f\x12\x47sha512-";

/// A field of wire type 7, which does not exist, and a varint without end.
const GARBAGE: &[u8] = b"\x0f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";

/// The beginning of an image of 200 bytes.
const TRUNCATED: &[u8] = b"\x0a\xc8\x01\x12\x47sha512-";

const EMPTY_IMAGE: &[u8] = b"\x0a\x00";

/// How a call ends.
#[derive(Clone, Debug)]
pub(super) struct Status {
    code: i32,
    message: String,
}

impl Status {
    pub(super) const UNKNOWN: i32 = 2;
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const UNIMPLEMENTED: i32 = 12;
    pub(super) const INTERNAL: i32 = 13;

    const fn ok() -> Self {
        let message = String::new();
        Self { code: 0, message }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", HeaderValue::from(self.code));
        if !self.message.is_empty() {
            headers.insert("grpc-message", percent_encoded(&self.message));
        }
        headers
    }
}

/// As rkt, which reports what its store cannot do as UNKNOWN.
impl From<io::Error> for Status {
    fn from(error: io::Error) -> Self {
        Self {
            code: Self::UNKNOWN,
            message: error.to_string(),
        }
    }
}

/// What of a `grpc-message` is not printable ASCII, and `%`, as `%XX`: gRPC over HTTP/2, "Responses".
fn percent_encoded(message: &str) -> HeaderValue {
    let mut encoded = String::new();
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    HeaderValue::try_from(encoded).expect("printable ASCII is a header value")
}

/// The response to one call; its body goes on by itself, until it ends or the client goes away.
pub(super) async fn respond<P: Protocol>(
    connection: Arc<Connection<P>>,
    behaviour: Behaviour,
    request: Result<P::Request, Refusal>,
    mut releases: watch::Receiver<u64>,
) -> Response<ResponseBody> {
    let request = match request {
        Ok(request) => request,
        Err(Refusal { code, message }) => return failed(&Status { code, message }),
    };
    match &behaviour {
        Behaviour::Refuse => {
            connection.cut.notify_one();
            future::pending::<()>().await;
        }
        Behaviour::Silent | Behaviour::Speak(_) | Behaviour::Hang => released(&mut releases).await,
        Behaviour::Slow(duration) => tokio::time::sleep(*duration).await,
        Behaviour::Fail { code, message } => {
            let message = message.clone();
            return failed(&Status {
                code: *code,
                message,
            });
        }
        Behaviour::NoMessage => return failed(&Status::ok()),
        Behaviour::NotGrpc { status } => return html(*status),
        Behaviour::Head(fields) => return headers_alone(field_map(fields)),
        _ => {}
    }
    let messages = match messages(&connection, &behaviour, &request) {
        Ok(messages) => messages,
        Err(error) => return failed(&error.into()),
    };
    let mut response = Response::new(ResponseBody::Empty);
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    if let Behaviour::ContentType(content_type) = &behaviour {
        let content_type = HeaderValue::try_from(content_type).expect("a field's value");
        response.headers_mut().insert("content-type", content_type);
    }
    if behaviour == Behaviour::Compressed {
        response
            .headers_mut()
            .insert("grpc-encoding", HeaderValue::from_static("gzip"));
    }
    let (sender, receiver) = mpsc::channel(1);
    let frames = Frames { sender, releases };
    tokio::spawn(async move {
        let _client_gone = frames.send_body(&connection, behaviour, messages).await;
    });
    response.map(|_| ResponseBody::Frames(receiver))
}

fn messages<P: Protocol>(
    connection: &Connection<P>,
    behaviour: &Behaviour,
    request: &P::Request,
) -> io::Result<Messages> {
    let right = || {
        let store = connection.shared.lock().store.clone();
        store.answer(request)
    };
    let framed = |listings| Messages::frame(Compressed::No, listings);
    match behaviour {
        Behaviour::Lie => Ok(Messages::raw(LIE)),
        Behaviour::Flood => Ok(Messages::raw(b"")),
        Behaviour::Garbage => framed(vec![Listing::of_bytes(GARBAGE)]),
        Behaviour::Trailers(_) => framed(vec![Listing::of_bytes("")]),
        Behaviour::EmptyImages { count } => framed(vec![Listing::repeated(EMPTY_IMAGE, *count)]),
        Behaviour::Truncated => {
            let mut listings = right()?;
            let last = listings.pop().unwrap_or_else(|| Listing::of_bytes(""));
            listings.push(last.followed_by(TRUNCATED));
            framed(listings)
        }
        Behaviour::Compressed => Messages::frame(Compressed::Yes, right()?),
        Behaviour::FailAfter { messages, .. } => {
            framed(right()?.into_iter().take(*messages).collect())
        }
        _ => framed(right()?),
    }
}

/// A trailers-only response.
fn failed(status: &Status) -> Response<ResponseBody> {
    let mut headers = status.headers();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers_alone(headers)
}

fn headers_alone(headers: HeaderMap) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Empty);
    *response.headers_mut() = headers;
    response
}

/// Panics when these cannot be header fields.
pub(super) fn field_map(fields: &Fields) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::try_from(name).expect("a field's name");
        let value = HeaderValue::try_from(value).expect("a field's value");
        headers.append(name, value);
    }
    headers
}

fn html(status: u16) -> Response<ResponseBody> {
    let page = Bytes::from(format!("<html><body><h1>{status}</h1></body></html>\n"));
    let mut response = Response::new(ResponseBody::Whole(Some(page)));
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::SERVICE_UNAVAILABLE);
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("text/html"));
    response
}

async fn released(releases: &mut watch::Receiver<u64>) {
    // An error means that nobody is left to release anything.
    if releases.changed().await.is_err() {
        future::pending().await
    }
}
