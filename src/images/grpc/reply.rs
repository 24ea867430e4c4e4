//! An answer to a call: its headers, its data, and its status.

use bytes::Bytes;
use http::{HeaderMap, Response, header};
use http_body_util::BodyExt;
use prost::Message;
use tonic::{Code, Status, body::Body};

use super::{
    call::{Context, request},
    lost::{lost, lost_status},
    peer::{Channel, MAX_HEADERS, Observed},
    status,
};

/// An answer, as it arrives.
pub(in crate::images) struct Reply {
    body: Body,
    observed: Observed,
    /// Whether the status came in the headers: grpc-go sends OK there if the answer has no message.
    status_first: bool,
    has_begun: bool,
}

impl Reply {
    pub(super) async fn to(
        channel: &mut Channel,
        method: &str,
        message: &impl Message,
        context: Context,
    ) -> Result<Self, Status> {
        let request = request(method, message, context)?;
        let observed = channel.observed();
        let response = channel
            .send(request)
            .await
            .map_err(|error| lost(error, &observed))?;
        Ok(Self {
            status_first: status::is_in(response.headers()),
            body: accepted(response, &observed)?,
            observed,
            has_begun: false,
        })
    }

    /// Whether any of its data has arrived.
    pub(in crate::images) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// The next bytes; `None` when the answer has ended with status OK.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(frame) = self.body.frame().await else {
            return if self.status_first && !self.has_begun {
                Ok(None)
            } else {
                Err(Status::internal("the answer ended without a status"))
            };
        };
        let frame = frame.map_err(|error| lost_status(error, &self.observed))?;
        match frame.into_data() {
            Ok(data) => {
                self.has_begun |= !data.is_empty();
                Ok(Some(data))
            }
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                ended(&trailers, &self.observed).map(|()| None)
            }
        }
    }
}

/// Checks the headers: refuses answers that are not gRPC, and those that are only an error.
fn accepted(response: Response<Body>, observed: &Observed) -> Result<Body, Status> {
    let (head, body) = response.into_parts();
    let content_type = head.headers.get(header::CONTENT_TYPE);
    let is_grpc = content_type.is_some_and(|value| is_grpc(value.as_bytes()));
    let is_other = content_type.is_some() && !is_grpc;
    // A gRPC status takes precedence over an HTTP error, but not over another content type.
    if let Some(status) = read_status(&head.headers, observed)
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

fn ended(trailers: &HeaderMap, observed: &Observed) -> Result<(), Status> {
    match read_status(trailers, observed) {
        Some(status) if status.code() == Code::Ok => Ok(()),
        Some(status) => Err(status),
        None if observed.has_long_headers() => Err(headers_too_long(Code::ResourceExhausted)),
        None => Err(Status::internal(
            "the answer's trailers hold no grpc-status",
        )),
    }
}

/// The status in these fields. Of trailers that are too long, h2 passes on only the fields that came first.
fn read_status(fields: &HeaderMap, observed: &Observed) -> Option<Status> {
    let status = status::read(fields)?;
    let is_cut = status::lacks_text(fields) && observed.has_long_headers();
    Some(match status.code() {
        code if code != Code::Ok && is_cut => headers_too_long(code),
        _ => status,
    })
}

pub(super) fn headers_too_long(code: Code) -> Status {
    let text = format!(
        "the headers or trailers of the answer are longer than the {MAX_HEADERS} bytes that are read of them"
    );
    Status::new(code, text)
}
