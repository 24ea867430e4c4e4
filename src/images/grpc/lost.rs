//! Errors of calls that ended without a status, with the codes that gRPC assigns to them.

use std::error::Error;

use h2::Reason;
use tonic::{Code, Status};

use super::{
    call::{causes, innermost},
    peer::Observed,
    reply::headers_too_long,
};

/// The status for a transport error. hyper calls a request cancelled if the connection closes before it is sent.
pub(super) fn lost(error: tonic::transport::Error, observed: &Observed) -> Status {
    let cancelled = causes(&error)
        .find_map(|cause| cause.downcast_ref::<hyper::Error>())
        .is_some_and(hyper::Error::is_canceled);
    if cancelled {
        return closed(observed, || {
            "the connection was closed before the answer".to_owned()
        });
    }
    lost_status(Status::from_error(error.into()), observed)
}

/// The status for an error that tonic has converted to one; any other status is returned as it is.
pub(super) fn lost_status(status: Status, observed: &Observed) -> Status {
    let http2 = causes(&status).find_map(|cause| cause.downcast_ref::<h2::Error>());
    match (http2, http2.and_then(h2::Error::reason)) {
        (Some(error), _) if error.is_library() && observed.has_long_headers() => {
            headers_too_long(Code::ResourceExhausted)
        }
        // Our side reset the stream.
        (Some(error), Some(reason)) if error.is_reset() && error.is_library() => {
            Status::internal(format!("the answer breaks HTTP/2: {reason:?} ({reason})"))
        }
        (Some(error), Some(reason)) if error.is_reset() => Status::new(
            code_of_reset(reason),
            format!("the call was reset with {reason:?} ({reason})"),
        ),
        (Some(error), _) => closed(observed, || format!("the connection was lost: {error}")),
        // tonic has no code for a lost connection.
        (None, _) if status.code() == Code::Unknown && status.source().is_some() => {
            closed(observed, || {
                format!("the connection was lost: {}", innermost(&status))
            })
        }
        // tonic tried to reconnect, see `peer::greeted`.
        (None, _) if status.code() == Code::Unavailable => {
            closed(observed, || status.message().to_owned())
        }
        _ => status,
    }
}

/// The status for a closed connection: the store's GOAWAY if it sent one, otherwise `otherwise`.
fn closed(observed: &Observed, otherwise: impl FnOnce() -> String) -> Status {
    Status::unavailable(match observed.goaway() {
        Some(goaway) => format!("the connection was closed by the store: {goaway}"),
        None if observed.has_long_headers() => return headers_too_long(Code::ResourceExhausted),
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
