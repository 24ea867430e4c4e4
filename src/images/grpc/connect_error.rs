//! Why connecting to a store failed.

use std::time::Duration;

use thiserror::Error;

use super::shortage::Shortage;
use crate::{
    answer::{Code, QueryError},
    images::address::StoreAddress,
};

/// Why connecting failed.
#[derive(Debug, Error)]
pub(super) enum ConnectError {
    /// This user may not use the socket.
    #[error("no permission to connect to {address}{}", suffix(advice))]
    Permission {
        /// The store's socket.
        address: StoreAddress,
        /// The socket's owner, and what to do.
        advice: String,
    },
    /// The service's sandbox or a firewall forbids the connection.
    #[error("not permitted to connect to {address}: {cause}{}", suffix(advice))]
    Forbidden {
        /// Where the store was expected.
        address: StoreAddress,
        /// The innermost cause.
        cause: String,
        /// What to do.
        advice: String,
    },
    /// This process or host lacks a resource.
    #[error("cannot connect to {address}, the store was not reached: {cause}; {shortage}")]
    Shortage {
        /// Where the store was expected.
        address: StoreAddress,
        /// The system's error.
        cause: String,
        /// The missing resource.
        shortage: Shortage,
    },
    /// The peer closed the connection before it sent its first HTTP/2 frame.
    #[error("cannot connect to {address}: the peer closed the connection before sending HTTP/2")]
    Closed {
        /// Where the store was expected.
        address: StoreAddress,
    },
    /// The peer is not a gRPC server.
    #[error("{address} does not speak gRPC (HTTP/2): its answer begins with {beginning}")]
    NotGrpc {
        /// Where the store was expected.
        address: StoreAddress,
        /// The first bytes, quoted, or the protocol that they belong to.
        beginning: String,
    },
    /// The query's deadline passed while connecting.
    #[error("no complete answer within {timeout:?}: {phase}")]
    Silent {
        /// The query's timeout.
        timeout: Duration,
        /// The phase that was not complete.
        phase: Phase,
    },
    /// Any other error of connect(2) or the name lookup.
    #[error("cannot connect to {address}: {cause}{}", suffix(advice))]
    Connect {
        /// Where the store was expected.
        address: StoreAddress,
        /// The innermost cause.
        cause: String,
        /// What to do; may be empty.
        advice: String,
    },
}

/// The phases of connecting, in order.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Phase {
    /// The lookup of this host name.
    #[error("the lookup of the name {0} has not ended")]
    Lookup(String),
    /// The connection to this address.
    #[error("{0} has not accepted the connection")]
    Connection(StoreAddress),
    /// The first HTTP/2 frame from this address.
    #[error("{0} has not begun to speak HTTP/2")]
    Greeting(StoreAddress),
}

impl ConnectError {
    fn code(&self) -> Code {
        match self {
            Self::Connect { .. } | Self::Closed { .. } | Self::NotGrpc { .. } => Code::UNAVAILABLE,
            Self::Permission { .. } | Self::Forbidden { .. } => Code::PERMISSION_DENIED,
            Self::Shortage { .. } => Code::RESOURCE_EXHAUSTED,
            Self::Silent { .. } => Code::DEADLINE_EXCEEDED,
        }
    }
}

impl From<ConnectError> for QueryError {
    fn from(error: ConnectError) -> Self {
        Self::Connect {
            code: error.code(),
            message: error.to_string(),
        }
    }
}

fn suffix(advice: &str) -> String {
    match advice {
        "" => String::new(),
        advice => format!("; {advice}"),
    }
}
