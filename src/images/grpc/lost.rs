//! What ended a call in place of a status, in our words and by gRPC's codes.

use std::error::Error;

use h2::Reason;
use tonic::{Code, Status};

use super::{
    call::{causes, innermost},
    peer::Seen,
    reply::headers_too_long,
};

/// hyper calls a call cancelled when the connection closes before it is sent.
pub(super) fn lost(error: tonic::transport::Error, seen: &Seen) -> Status {
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
pub(super) fn lost_status(status: Status, seen: &Seen) -> Status {
    let http2 = causes(&status).find_map(|cause| cause.downcast_ref::<h2::Error>());
    match (http2, http2.and_then(h2::Error::reason)) {
        (Some(error), _) if error.is_library() && seen.has_long_headers() => {
            headers_too_long(Code::ResourceExhausted)
        }
        // Our side has reset it.
        (Some(error), Some(reason)) if error.is_reset() && error.is_library() => {
            Status::internal(format!("the answer breaks HTTP/2: {reason:?} ({reason})"))
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
        // tonic tried to connect once more, see `peer::greeted`.
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
