//! Reads a gRPC response as it arrives, and never holds it.
//!
//! A list of images is one protobuf message `{ repeated Image images = 1; … }`, in rkt's API and in CRI alike, and it may be
//! larger than the host's memory. So the body is scanned chunk by chunk: the integers of each image go to a [`Visitor`],
//! everything else is skipped without being kept, whatever its size. Sources: gRPC over HTTP/2
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>) and the protobuf encoding
//! (<https://protobuf.dev/programming-guides/encoding/>).

use std::{cmp::Ordering, error::Error, iter::successors, time::Duration};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::Reason;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tonic::{Code, Status, body::Body};

use super::peer::{Channel, MAX_HEADERS, Seen};

mod fault;
mod field;
mod scan;
mod status;

pub use fault::{Fault, Malformed};
pub use scan::{Scanner, Visitor};

/// What goes out with every call.
#[derive(Clone, Debug)]
pub(super) struct Context {
    /// Sent as gRPC metadata, for example `traceparent`.
    pub(super) metadata: HeaderMap,
    /// Sent as `grpc-timeout`; keeping to it is the caller's affair, servers may ignore it.
    pub(super) timeout: Duration,
    /// Bytes that the answer to [`call`] may have at most; `None` is no limit.
    pub(super) max_response: Option<u64>,
}

/// Most bytes of an answer that is decoded whole, as those to side calls are: decoded, they can be forty times as long.
const MAX_MESSAGE: u64 = 64 * 1024;

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
/// and HTTP errors; RESOURCE_EXHAUSTED for an answer that is longer than the context permits; INTERNAL for an answer that breaks
/// the protocol (compressed, malformed, cut short), saying where.
pub(super) async fn call<V: Visitor>(
    channel: &mut Channel,
    method: &str,
    message: &impl Message,
    context: Context,
    visitor: &mut V,
) -> Result<Received, Status> {
    let max_response = context.max_response.unwrap_or(u64::MAX);
    let mut answer = Answer::to(channel, method, message, context).await?;
    let mut scanner = Scanner::new(visitor);
    while let Some(data) = answer.next().await? {
        if scanner.read() + data.len() as u64 > max_response {
            return Err(too_long(max_response, "--max-response permits"));
        }
        scanner.feed(&data).map_err(malformed)?;
    }
    scanner.finish().map_err(malformed)
}

/// Calls `/method` with `message`, and decodes the one message of the answer.
///
/// # Errors
///
/// As [`call`]; RESOURCE_EXHAUSTED for an answer of more than 64 KiB.
pub(super) async fn ask<M: Message + Default>(
    channel: &mut Channel,
    method: &str,
    message: &impl Message,
    context: Context,
) -> Result<M, Status> {
    let mut answer = Answer::to(channel, method, message, context).await?;
    let mut body = BytesMut::new();
    while let Some(data) = answer.next().await? {
        if (body.len() + data.len()) as u64 > MAX_MESSAGE {
            return Err(too_long(MAX_MESSAGE, "are read of it"));
        }
        body.extend_from_slice(&data);
    }
    let message = unframed(body.freeze())?;
    M::decode(message)
        .map_err(|error| Status::internal(format!("the answer is malformed: {error}")))
}

/// The only message of a body.
fn unframed(mut body: Bytes) -> Result<Bytes, Status> {
    let length = body.len() as u64;
    let unfinished = Malformed {
        offset: length,
        fault: Fault::Unfinished,
    };
    if body.is_empty() {
        Received {
            bytes: 0,
            messages: 0,
        }
        .require_one_message()?;
    }
    if body.len() < 5 {
        return Err(malformed(unfinished));
    }
    let fault = match body.get_u8() {
        0 => None,
        1 => Some(Fault::Compressed),
        flag => Some(Fault::Flag(flag)),
    };
    if let Some(fault) = fault {
        return Err(malformed(Malformed { offset: 0, fault }));
    }
    match (body.get_u32() as usize).cmp(&body.len()) {
        Ordering::Equal => Ok(body),
        Ordering::Greater => Err(malformed(unfinished)),
        Ordering::Less => Err(Status::internal(
            "the answer holds more than the one message that the method has",
        )),
    }
}

/// An answer, as it arrives.
struct Answer {
    body: Body,
    seen: Seen,
    /// Whether the status came in the headers: grpc-go says OK there when there is no message to send them for.
    status_first: bool,
    has_begun: bool,
}

impl Answer {
    async fn to(
        channel: &mut Channel,
        method: &str,
        message: &impl Message,
        context: Context,
    ) -> Result<Self, Status> {
        let request = request(method, message, context)?;
        let seen = channel.seen();
        let response = channel
            .send(request)
            .await
            .map_err(|error| lost(error, &seen))?;
        Ok(Self {
            status_first: status::is_in(response.headers()),
            body: accepted(response, &seen)?,
            seen,
            has_begun: false,
        })
    }

    /// The next bytes; `None` when the answer has ended with status OK.
    async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(frame) = self.body.frame().await else {
            return if self.status_first && !self.has_begun {
                Ok(None)
            } else {
                Err(Status::internal("the answer ended without a status"))
            };
        };
        let frame = frame.map_err(|error| lost_status(error, &self.seen))?;
        match frame.into_data() {
            Ok(data) => {
                self.has_begun |= !data.is_empty();
                Ok(Some(data))
            }
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                ended(&trailers, &self.seen).map(|()| None)
            }
        }
    }
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
fn accepted(response: Response<Body>, seen: &Seen) -> Result<Body, Status> {
    let (head, body) = response.into_parts();
    let content_type = head.headers.get(header::CONTENT_TYPE);
    let is_grpc = content_type.is_some_and(|value| is_grpc(value.as_bytes()));
    let is_other = content_type.is_some() && !is_grpc;
    // A status counts whatever HTTP says, but not one of another protocol.
    if let Some(status) = read_status(&head.headers, seen)
        && status.code() != Code::Ok
        && !(is_other && head.status == http::StatusCode::OK)
    {
        return Err(status);
    }
    if head.status != http::StatusCode::OK {
        return Err(not_grpc(head.status));
    }
    if !is_grpc {
        return Err(Status::unknown(match content_type {
            Some(other) => format!("the answer is not gRPC: its content-type is {other:?}"),
            None => "the answer is not gRPC: it has no content-type".to_owned(),
        }));
    }
    Ok(body)
}

/// Whether a content type is `application/grpc`, alone or with a suffix or parameters; `application/grpc-web` is another protocol.
fn is_grpc(content_type: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    content_type
        .split_at_checked(GRPC.len())
        .is_some_and(|(name, rest)| {
            name.eq_ignore_ascii_case(GRPC)
                && matches!(rest.trim_ascii_start().first(), None | Some(b'+' | b';'))
        })
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

fn ended(trailers: &HeaderMap, seen: &Seen) -> Result<(), Status> {
    match read_status(trailers, seen) {
        Some(status) if status.code() == Code::Ok => Ok(()),
        Some(status) => Err(status),
        None if seen.has_long_headers() => Err(headers_too_long(Code::ResourceExhausted)),
        None => Err(Status::internal(
            "the answer's trailers hold no grpc-status",
        )),
    }
}

/// Of trailers that are too long, HTTP/2's library hands over those fields that came first.
fn read_status(fields: &HeaderMap, seen: &Seen) -> Option<Status> {
    let status = status::read(fields)?;
    let is_cut = status::lacks_text(fields) && seen.has_long_headers();
    Some(match status.code() {
        code if code != Code::Ok && is_cut => headers_too_long(code),
        _ => status,
    })
}

fn headers_too_long(code: Code) -> Status {
    let text = format!(
        "the headers or trailers of the answer are longer than the {MAX_HEADERS} bytes that are read of them"
    );
    Status::new(code, text)
}

fn too_long(most: u64, why: &str) -> Status {
    Status::resource_exhausted(format!(
        "the answer is longer than the {most} bytes that {why}"
    ))
}

fn malformed(error: Malformed) -> Status {
    Status::internal(error.to_string())
}

/// hyper calls a call cancelled when the connection closes before it is sent.
fn lost(error: tonic::transport::Error, seen: &Seen) -> Status {
    let cancelled = causes(&error)
        .find_map(|cause| cause.downcast_ref::<hyper::Error>())
        .is_some_and(hyper::Error::is_canceled);
    if cancelled {
        return closed(seen, || {
            "the connection was closed before the answer".to_owned()
        });
    }
    lost_status(Status::from_error(error.into()), seen)
}

/// In our words and by gRPC's codes, what ended a call in place of a status.
fn lost_status(status: Status, seen: &Seen) -> Status {
    let http2 = causes(&status).find_map(|cause| cause.downcast_ref::<h2::Error>());
    match (http2, http2.and_then(h2::Error::reason)) {
        (Some(error), _) if error.is_library() && seen.has_long_headers() => {
            headers_too_long(Code::ResourceExhausted)
        }
        (Some(error), Some(reason)) if error.is_reset() => Status::new(
            code_of_reset(reason),
            format!("the call was reset with {reason:?} ({reason})"),
        ),
        (Some(error), _) => closed(seen, || format!("the connection was lost: {error}")),
        // What tonic cannot name is a lost connection.
        (None, _) if status.code() == Code::Unknown && status.source().is_some() => {
            closed(seen, || {
                format!("the connection was lost: {}", innermost(&status))
            })
        }
        // tonic has wanted to connect once more, see `peer::Only`.
        (None, _) if status.code() == Code::Unavailable => {
            closed(seen, || status.message().to_owned())
        }
        _ => status,
    }
}

/// A connection that has ended: as the store said itself, else in our words.
fn closed(seen: &Seen, otherwise: impl FnOnce() -> String) -> Status {
    Status::unavailable(match seen.goaway() {
        Some(goaway) => format!("the connection was closed by the store: {goaway}"),
        None if seen.has_long_headers() => return headers_too_long(Code::ResourceExhausted),
        None => otherwise(),
    })
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
