//! Responses to calls, correct or broken.

mod body;

use std::future;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use tokio::sync::{mpsc, watch};
use tonic::Status;

use super::Behaviour;
use super::Protocol;
use super::connection::Connection;
use super::listing::Listing;
use super::message::{Compressed, Messages};

use body::Frames;
pub(super) use body::ResponseBody;

/// A prefix that claims 4 GiB - 1, and the beginning of an image.
const LIE: &[u8] = b"\x00\xff\xff\xff\xff\x0a\x7f\x12\x47sha512-";

/// A field of wire type 7, which does not exist, and an unterminated varint.
const GARBAGE: &[u8] = b"\x0f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";

/// The beginning of an image of 200 bytes.
const TRUNCATED: &[u8] = b"\x0a\xc8\x01\x12\x47sha512-";

const EMPTY_IMAGE: &[u8] = b"\x0a\x00";

/// The response to one call. A task sends its body until the body ends or the client goes away.
pub(super) async fn respond<P: Protocol>(
    connection: Arc<Connection<P>>,
    behaviour: Behaviour,
    request: Result<P::Request, Status>,
    mut releases: watch::Receiver<u64>,
) -> Response<ResponseBody> {
    let request = match request {
        Ok(request) => request,
        Err(status) => return failed(&status),
    };
    match &behaviour {
        Behaviour::Refuse => {
            connection.cut.notify_one();
            future::pending::<()>().await;
        }
        Behaviour::Silent | Behaviour::Speak(_) | Behaviour::Hang => released(&mut releases).await,
        Behaviour::Slow(duration) => tokio::time::sleep(*duration).await,
        Behaviour::Fail(status) => return failed(status),
        Behaviour::NoMessage => return failed(&Status::ok("")),
        Behaviour::NotGrpc { status } => return html(*status),
        Behaviour::Head(fields) => return headers_alone(fields.clone()),
        _ => {}
    }
    let messages = messages(&connection, &behaviour, &request);
    let mut response = Response::new(ResponseBody::Empty);
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    if let Behaviour::ContentType(content_type) = &behaviour {
        let content_type = HeaderValue::try_from(content_type).expect("the value is valid");
        response.headers_mut().insert("content-type", content_type);
    }
    if matches!(behaviour, Behaviour::Compressed) {
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
) -> Messages {
    let correct = || {
        let store = connection.shared.lock().store.clone();
        store.answer(request)
    };
    let framed = |listings| Messages::frame(Compressed::No, listings);
    match behaviour {
        Behaviour::Lie => Messages::raw(LIE),
        Behaviour::Flood => Messages::raw(b""),
        Behaviour::Garbage => framed(vec![Listing::of_bytes(GARBAGE)]),
        Behaviour::Trailers(_) => framed(vec![Listing::of_bytes("")]),
        Behaviour::EmptyImages { count } => framed(vec![Listing::repeated(EMPTY_IMAGE, *count)]),
        Behaviour::Truncated => {
            let mut listings = correct();
            let last = listings.pop().unwrap_or_else(|| Listing::of_bytes(""));
            listings.push(last.followed_by(TRUNCATED));
            framed(listings)
        }
        Behaviour::Compressed => Messages::frame(Compressed::Yes, correct()),
        Behaviour::FailAfter(messages, _) => {
            framed(correct().into_iter().take(*messages).collect())
        }
        _ => framed(correct()),
    }
}

/// A trailers-only response.
fn failed(status: &Status) -> Response<ResponseBody> {
    let mut headers = status_fields(status);
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers_alone(headers)
}

fn headers_alone(headers: HeaderMap) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Empty);
    *response.headers_mut() = headers;
    response
}

fn status_fields(status: &Status) -> HeaderMap {
    let mut fields = HeaderMap::new();
    let added = status.add_header(&mut fields);
    added.expect("percent-encoded text is a header value");
    fields
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
    // An error means that the stand-in is gone, so that no release can follow.
    if releases.changed().await.is_err() {
        future::pending().await
    }
}
