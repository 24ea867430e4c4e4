//! Why a query has no answer.

use std::time::Duration;

use thiserror::Error;
use tonic::{Code, Status};

use crate::{config::StoreAddress, words::cut, work::Panic};

mod shortage;

pub use shortage::Shortage;

/// Longest text of a store's error that is kept, in bytes.
const MAX_MESSAGE: usize = 1024;

/// Why a query has no answer.
#[derive(Debug, Error)]
pub enum QueryError {
    /// No connection, with the innermost cause: the layers above it say less.
    #[error("cannot connect to {address}: {cause}{}", behind(advice))]
    Connect {
        /// Where the store was expected.
        address: StoreAddress,
        /// What connect(2) said.
        cause: String,
        /// What to do; empty when that is not known.
        advice: String,
    },
    /// The socket is somebody else's.
    #[error("no permission to connect to {address}{}", behind(advice))]
    Permission {
        /// The store's socket.
        address: StoreAddress,
        /// Who may, and what to do.
        advice: String,
    },
    /// The sandbox of the service, or a firewall of the host.
    #[error("not permitted to connect to {address}: {cause}{}", behind(advice))]
    Forbidden {
        /// Where the store was expected.
        address: StoreAddress,
        /// What connect(2) said.
        cause: String,
        /// What to do.
        advice: String,
    },
    /// This process or host lacks what a connection needs.
    #[error("cannot connect to {address}, the store was not reached: {cause}; {shortage}")]
    Shortage {
        /// Where the store was expected.
        address: StoreAddress,
        /// What the system said.
        cause: String,
        /// What is lacking.
        shortage: Shortage,
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
    /// Not even a connection was there in time.
    #[error("no complete answer within {timeout:?}: {phase}")]
    Silent {
        /// How long was waited.
        timeout: Duration,
        /// What was waited for when time ran out.
        phase: Phase,
    },
    /// A fault of this program, not of the store.
    #[error(transparent)]
    Panicked(#[from] Panic),
    /// The service stops.
    #[error("given up because the service is stopping")]
    Abandoned,
    /// The call ended with an error: the store's own, or one that describes a broken answer.
    #[error("{message}")]
    Call {
        /// The gRPC status code.
        code: Code,
        /// In the store's words, cut to 1 KiB.
        message: String,
    },
}

/// What connecting waits for, one after another.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Phase {
    /// The addresses of this host.
    #[error("the lookup of the name {0} has not ended")]
    Lookup(String),
    /// A connection to this address.
    #[error("{0} has not accepted the connection")]
    Connection(StoreAddress),
    /// The first words of who listens at this address.
    #[error("{0} has not begun to speak HTTP/2")]
    Greeting(StoreAddress),
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

    /// For where the code does not stand beside it: the store's own words may be few.
    #[must_use]
    pub fn with_code(&self) -> String {
        match self {
            Self::Call { message, .. } => format!("{}: {message}", self.code()),
            ours => ours.to_string(),
        }
    }

    pub(super) fn grpc_code(&self) -> Code {
        match self {
            Self::Connect { .. } | Self::Closed { .. } | Self::NotGrpc { .. } => Code::Unavailable,
            Self::Permission { .. } | Self::Forbidden { .. } => Code::PermissionDenied,
            Self::Shortage { .. } => Code::ResourceExhausted,
            Self::Deadline(_) | Self::Silent { .. } => Code::DeadlineExceeded,
            Self::Panicked(_) => Code::Internal,
            Self::Abandoned => Code::Cancelled,
            Self::Call { code, .. } => *code,
        }
    }
}

impl From<Status> for QueryError {
    fn from(status: Status) -> Self {
        Self::Call {
            code: status.code(),
            message: cut(without_code(status.message(), status.code()), MAX_MESSAGE),
        }
    }
}

fn behind(advice: &str) -> String {
    match advice {
        "" => String::new(),
        advice => format!("; {advice}"),
    }
}

/// The message behind its own code, which some stores repeat in it: in gRPC's spelling, or as grpc-go prints an error that it
/// passes on.
fn without_code(mut message: &str, code: Code) -> &str {
    let go = match code {
        Code::Ok => "OK".to_owned(),
        Code::Cancelled => "Canceled".to_owned(),
        code => format!("{code:?}"),
    };
    let prefixes = [
        format!("{}: ", code_name(code)),
        format!("rpc error: code = {go} desc = "),
    ];
    while let Some(rest) = prefixes
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix.as_str()))
        .filter(|rest| !rest.is_empty())
    {
        message = rest;
    }
    message
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
