//! gRPC calls: a list is scanned as it arrives and never buffered (see [`scan`]); any other answer is decoded whole.
//!
//! Source: gRPC over HTTP/2 (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use std::{cmp::Ordering, error::Error, iter::successors, time::Duration};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, header};
use http_body_util::Full;
use prost::Message;
use scan::{Fault, Malformed, Received, Scanner, Visitor};
use tonic::{Status, body::Body};

use super::{peer::Channel, reply::Reply};

/// Sent with every call.
#[derive(Clone, Debug)]
pub(in crate::images) struct Context {
    /// Sent as gRPC metadata, for example `traceparent`.
    pub(super) metadata: HeaderMap,
    /// Sent as `grpc-timeout`. The caller has to enforce it: servers may ignore it.
    pub(super) timeout: Duration,
}

/// Longest answer to a side call, in bytes: decoded, it can be forty times as large.
const MAX_MESSAGE: u64 = 64 * 1024;

/// Requires a single message, as the answer of a unary method has.
///
/// # Errors
///
/// INTERNAL for any other number.
pub(in crate::images) fn require_one_message(messages: u64) -> Result<(), Status> {
    match messages {
        1 => Ok(()),
        0 => Err(Status::internal(
            "the answer has status OK and holds no message",
        )),
        messages => Err(Status::internal(format!(
            "the answer holds {messages} messages, but the method returns one"
        ))),
    }
}

/// Calls `/method` with `message`, and waits until the answer begins.
///
/// # Errors
///
/// The status that the server sent; UNAVAILABLE when the connection is lost; the codes that gRPC assigns to HTTP/2 resets and HTTP
/// errors; INTERNAL for an answer that breaks the protocol.
pub(in crate::images) async fn ask(
    channel: &mut Channel,
    method: &str,
    message: &impl Message,
    context: Context,
) -> Result<Reply, Status> {
    Reply::to(channel, method, message, context).await
}

impl Reply {
    /// Passes each element of a list to `visitor` as it arrives.
    ///
    /// # Errors
    ///
    /// As [`ask`]; INTERNAL, with the place, for a list that is compressed, malformed or cut short.
    pub(in crate::images) async fn scan<V: Visitor>(
        &mut self,
        visitor: &mut V,
    ) -> Result<Received, Status> {
        let mut scanner = Scanner::new(visitor);
        while let Some(data) = self.next().await? {
            scanner.feed(&data).map_err(malformed)?;
        }
        scanner.finish().map_err(malformed)
    }
}

/// Calls `/method` with `message`, and decodes the one message of the answer.
///
/// # Errors
///
/// As [`ask`]; RESOURCE_EXHAUSTED for an answer of more than 64 KiB.
pub(in crate::images) async fn unary<M: Message + Default>(
    channel: &mut Channel,
    method: &str,
    message: &impl Message,
    context: Context,
) -> Result<M, Status> {
    let mut reply = Reply::to(channel, method, message, context).await?;
    let mut body = BytesMut::new();
    while let Some(data) = reply.next().await? {
        if (body.len() + data.len()) as u64 > MAX_MESSAGE {
            return Err(Status::resource_exhausted(format!(
                "the answer is longer than the {MAX_MESSAGE} bytes that are read of it"
            )));
        }
        body.extend_from_slice(&data);
    }
    let message = unframed(body.freeze())?;
    M::decode(message)
        .map_err(|error| Status::internal(format!("the answer is malformed: {error}")))
}

/// Removes the frame of a body's only message.
fn unframed(mut body: Bytes) -> Result<Bytes, Status> {
    let length = body.len() as u64;
    let unfinished = Malformed {
        offset: length,
        fault: Fault::Unfinished,
    };
    if body.is_empty() {
        require_one_message(0)?;
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
            "the answer holds more than the one message that the method returns",
        )),
    }
}

pub(super) fn request(
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

/// Frames a message: the compressed flag (0), the length, the message.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

/// At most eight digits and a unit: milliseconds, or seconds if milliseconds need more digits. Rounded up: tonic's channel enforces
/// it as well, and the caller's own limit must expire first.
fn timeout_value(timeout: Duration) -> HeaderValue {
    const MAX: u128 = 99_999_999;
    let text = match timeout.as_nanos().div_ceil(1_000_000) {
        millis @ ..=MAX => format!("{millis}m"),
        millis => format!("{}S", millis.div_ceil(1000).min(MAX)),
    };
    // Digits and a letter are always a valid header value.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("99999999S"))
}

fn malformed(error: Malformed) -> Status {
    Status::internal(error.to_string())
}

/// The error, its source, the source's source, and so on.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| error.source())
}

/// The innermost cause; the layers above it only say `transport error`.
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
