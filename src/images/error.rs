//! Why a query has no answer.

use std::{error::Error, io, time::Duration};

use thiserror::Error;
use tonic::{Code, Status};

use crate::config::StoreAddress;

use super::wire;

/// Longest text of a store's error that is kept, in bytes.
const MAX_MESSAGE: usize = 1024;

/// Why a query has no answer.
#[derive(Debug, Error)]
pub enum QueryError {
    /// No connection, with the innermost cause: the layers above it say less.
    #[error("cannot connect to {address}: {cause}")]
    Connect {
        /// Where the store was expected.
        address: StoreAddress,
        /// What connect(2) said.
        cause: String,
    },
    /// The socket is somebody else's.
    #[error(
        "no permission to connect to {address}: run the service as root without capabilities or in the group that owns the socket (see the drop-ins and \"PERMISSIONS\" in exp-rkt-grpc(8))"
    )]
    Permission {
        /// The store's socket.
        address: StoreAddress,
    },
    /// Who listens there hangs up.
    #[error("cannot connect to {address}: the connection was closed before a word of HTTP/2")]
    Closed {
        /// Where the store was expected.
        address: StoreAddress,
    },
    /// Who listens there is no gRPC server.
    #[error("{address} does not speak gRPC (HTTP/2): its answer begins with {words}")]
    NotGrpc {
        /// Where the store was expected.
        address: StoreAddress,
        /// The first bytes, or what they are known to be.
        words: String,
    },
    /// The whole answer was not there in time.
    #[error("no complete answer within {0:?}")]
    Deadline(Duration),
    /// Not even a connection was there in time, or who accepts it says nothing.
    #[error("no complete answer within {timeout:?}: {address} has not begun to speak HTTP/2")]
    Silent {
        /// How long was waited.
        timeout: Duration,
        /// Where the store was expected.
        address: StoreAddress,
    },
    /// The service stops.
    #[error("given up because the service is stopping")]
    Abandoned,
    /// The call ended with an error: the store's own, or one that describes a broken answer.
    #[error("{code}: {message}", code = code_name(*code))]
    Call {
        /// The gRPC status code.
        code: Code,
        /// In the store's words, cut to 1 KiB.
        message: String,
    },
}

/// The names of all gRPC status codes but OK, as <https://grpc.github.io/grpc/core/md_doc_statuscodes.html> spells them.
pub fn error_codes() -> impl Iterator<Item = &'static str> {
    (1..=16).map(|code| code_name(Code::from_i32(code)))
}

impl QueryError {
    /// The kind of failure: the name of a gRPC status code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        code_name(self.grpc_code())
    }

    pub(super) fn grpc_code(&self) -> Code {
        match self {
            Self::Connect { .. } | Self::Closed { .. } | Self::NotGrpc { .. } => Code::Unavailable,
            Self::Permission { .. } => Code::PermissionDenied,
            Self::Deadline(_) | Self::Silent { .. } => Code::DeadlineExceeded,
            Self::Abandoned => Code::Cancelled,
            Self::Call { code, .. } => *code,
        }
    }

    pub(super) fn connecting(error: &(dyn Error + 'static), address: &StoreAddress) -> Self {
        let address = address.clone();
        match kind_of(error) {
            Some(io::ErrorKind::PermissionDenied) => Self::Permission { address },
            _ => Self::Connect {
                address,
                cause: wire::innermost(error),
            },
        }
    }
}

impl From<Status> for QueryError {
    fn from(status: Status) -> Self {
        Self::Call {
            code: status.code(),
            message: cut(status.message()),
        }
    }
}

/// At most 1 KiB, marked where it was cut.
fn cut(message: &str) -> String {
    const CUT: &str = "… [cut]";
    if message.len() <= MAX_MESSAGE {
        return message.to_owned();
    }
    let kept = message.floor_char_boundary(MAX_MESSAGE - CUT.len());
    format!("{}{CUT}", &message[..kept])
}

fn kind_of(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    wire::causes(error)
        .find_map(|error| error.downcast_ref::<io::Error>())
        .map(io::Error::kind)
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
