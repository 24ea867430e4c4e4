//! Reads a gRPC response as it arrives, and never holds it.
//!
//! A list of images is one protobuf message `{ repeated Image images = 1; … }`, in rkt's API and in CRI alike, and it may be
//! larger than the host's memory. So the body is scanned chunk by chunk: the integers of each image go to a [`Visitor`],
//! everything else is skipped without being kept, whatever its size. Sources: gRPC over HTTP/2
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>) and the protobuf encoding
//! (<https://protobuf.dev/programming-guides/encoding/>).

use std::{error::Error, future::poll_fn, iter::successors, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use h2::Reason;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tonic::{Code, Status, body::Body, metadata::MetadataMap, transport::Channel};
use tower_service::Service;

mod fault;
mod field;
mod scan;

pub use fault::{Fault, Malformed};
pub use scan::{Scanner, Visitor};

/// What goes out with every call.
#[derive(Clone, Debug)]
pub struct Context {
    /// Sent as gRPC metadata, for example `traceparent`.
    pub metadata: HeaderMap,
    /// Sent as `grpc-timeout`; keeping to it is the caller's affair, servers may ignore it.
    pub timeout: Duration,
    /// Bytes that the answer to [`call`] may have at most; `None` is no limit.
    pub max_response: Option<u64>,
}

impl Context {
    /// The request of a generated client.
    pub(super) fn request<T>(self, message: T) -> tonic::Request<T> {
        let metadata = MetadataMap::from_headers(self.metadata);
        let mut request =
            tonic::Request::from_parts(metadata, tonic::Extensions::default(), message);
        request.set_timeout(self.timeout);
        request
    }
}

/// A whole answer that ended with status OK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the body, gRPC's framing included.
    pub bytes: u64,
    /// Messages in it.
    pub messages: u64,
}

impl Received {
    /// For methods that answer with one message, not a stream of them.
    ///
    /// # Errors
    ///
    /// INTERNAL when there are more or none.
    pub(super) fn require_one_message(self) -> Result<(), Status> {
        match self.messages {
            1 => Ok(()),
            0 => Err(Status::internal(
                "the answer has status OK and holds no message",
            )),
            messages => Err(Status::internal(format!(
                "the answer holds {messages} messages where the method has one"
            ))),
        }
    }
}

/// Calls `/method` with `message`, and hands each image of the answer to `visitor` as it arrives.
///
/// # Errors
///
/// The status that the server sent; UNAVAILABLE when the connection is lost, and the codes that gRPC assigns to HTTP/2 resets
/// and HTTP errors; RESOURCE_EXHAUSTED for an answer that is longer than the context permits; INTERNAL for an answer that breaks the protocol (compressed, malformed, cut short), saying where.
pub async fn call<V: Visitor>(
    channel: &mut Channel,
    method: &str,
    message: &impl Message,
    context: Context,
    visitor: &mut V,
) -> Result<Received, Status> {
    poll_fn(|context| channel.poll_ready(context))
        .await
        .map_err(lost)?;
    let max_response = context.max_response.unwrap_or(u64::MAX);
    let request = request(method, message, context)?;
    let response = channel.call(request).await.map_err(lost)?;
    let status_first = response.headers().contains_key(Status::GRPC_STATUS);
    let mut body = accepted(response)?;

    let mut scanner = Scanner::new(visitor);
    while let Some(frame) = body.frame().await {
        match frame.map_err(lost_status)?.into_data() {
            Ok(data) if scanner.read() + data.len() as u64 > max_response => {
                return Err(too_long(max_response));
            }
            Ok(data) => scanner.feed(&data).map_err(malformed)?,
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                return ended(&trailers, scanner);
            }
        }
    }
    // A stream of nothing: grpc-go says OK in the headers when there was no message to send them for.
    if status_first && scanner.read() == 0 {
        return scanner.finish().map_err(malformed);
    }
    Err(Status::internal("the answer ended without a status"))
}

fn request(
    method: &str,
    message: &impl Message,
    context: Context,
) -> Result<Request<Body>, Status> {
    let mut request = Request::post(format!("/{method}"))
        .body(Body::new(Full::new(framed(&message.encode_to_vec()))))
        .map_err(|error| Status::from_error(error.into()))?;
    let headers = request.headers_mut();
    *headers = context.metadata;
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert("grpc-timeout", timeout_value(context.timeout));
    Ok(request)
}

/// The length-prefixed message: not compressed, length, message.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

/// At most eight digits and a unit: milliseconds, or seconds where those would be too long. Rounded up, because tonic's channel
/// keeps to it as well, and the caller's own limit is to be the first.
fn timeout_value(timeout: Duration) -> HeaderValue {
    const MAX: u128 = 99_999_999;
    let text = match timeout.as_nanos().div_ceil(1_000_000) {
        millis @ ..=MAX => format!("{millis}m"),
        millis => format!("{}S", millis.div_ceil(1000).min(MAX)),
    };
    // Digits and a letter are always a valid header value.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("99999999S"))
}

/// Refuses what is not the beginning of a gRPC answer, and answers that consist of nothing but an error.
fn accepted(response: Response<Body>) -> Result<Body, Status> {
    let (head, body) = response.into_parts();
    if let Some(status) = Status::from_header_map(&head.headers)
        && status.code() != Code::Ok
    {
        return Err(status);
    }
    if head.status != http::StatusCode::OK {
        return Err(not_grpc(head.status));
    }
    let content_type = head.headers.get(header::CONTENT_TYPE);
    if !content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc")) {
        return Err(Status::unknown(format!(
            "the answer is not gRPC: its content-type is {content_type:?}"
        )));
    }
    Ok(body)
}

/// <https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>
fn not_grpc(status: http::StatusCode) -> Status {
    let code = match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    };
    Status::new(
        code,
        format!("the answer is not gRPC: HTTP status {status}"),
    )
}

fn ended<V: Visitor>(trailers: &HeaderMap, scanner: Scanner<'_, V>) -> Result<Received, Status> {
    let status = Status::from_header_map(trailers)
        .unwrap_or_else(|| Status::internal("the answer's trailers hold no grpc-status"));
    if status.code() != Code::Ok {
        return Err(status);
    }
    scanner.finish().map_err(malformed)
}

fn too_long(max_response: u64) -> Status {
    Status::resource_exhausted(format!(
        "the answer is longer than the {max_response} bytes that --max-response permits"
    ))
}

fn malformed(error: Malformed) -> Status {
    Status::internal(error.to_string())
}

/// hyper calls a call cancelled when the connection closes before it is sent.
fn lost(error: tonic::transport::Error) -> Status {
    let closed = causes(&error)
        .find_map(|cause| cause.downcast_ref::<hyper::Error>())
        .is_some_and(hyper::Error::is_canceled);
    if closed {
        return Status::unavailable("the connection was closed before the answer");
    }
    lost_status(Status::from_error(error.into()))
}

/// In our words and by gRPC's codes, what ended a call in place of a status. A status of the store's own stays as it is.
pub(super) fn lost_status(status: Status) -> Status {
    let http2 = causes(&status).find_map(|cause| cause.downcast_ref::<h2::Error>());
    match (http2, http2.and_then(h2::Error::reason)) {
        (Some(error), Some(reason)) if error.is_reset() => Status::new(
            code_of_reset(reason),
            format!("the call was reset with {reason:?} ({reason})"),
        ),
        (Some(error), _) => Status::unavailable(format!("the connection was lost: {error}")),
        // What tonic cannot name is a lost connection.
        (None, _) if status.code() == Code::Unknown && status.source().is_some() => {
            Status::unavailable(format!("the connection was lost: {}", innermost(&status)))
        }
        _ => status,
    }
}

/// "Errors" in <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.
fn code_of_reset(reason: Reason) -> Code {
    match reason {
        Reason::REFUSED_STREAM => Code::Unavailable,
        Reason::CANCEL => Code::Cancelled,
        Reason::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
        Reason::INADEQUATE_SECURITY => Code::PermissionDenied,
        _ => Code::Internal,
    }
}

/// The error itself, then what caused it, and so on.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| error.source())
}

/// The innermost cause, which says what happened; the layers above it say `transport error`.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let innermost = causes(error).last().unwrap_or(error);
    match innermost.downcast_ref::<Status>() {
        Some(status) => status.message().to_owned(),
        None => innermost.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::timeout_value;

    #[test]
    fn a_timeout_has_at_most_eight_digits() {
        assert_eq!(timeout_value(Duration::from_micros(9_001)), "10m");
        assert_eq!(timeout_value(Duration::from_secs(60)), "60000m");
        assert_eq!(timeout_value(Duration::from_secs(99_999)), "99999000m");
        assert_eq!(timeout_value(Duration::from_secs(100_000)), "100000S");
        assert_eq!(timeout_value(Duration::MAX), "99999999S");
    }
}
