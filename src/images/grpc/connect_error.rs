//! Why there is no connection to a store.

use std::time::Duration;

use thiserror::Error;

use super::shortage::Shortage;
use crate::{
    answer::{Code, QueryError},
    images::address::StoreAddress,
};

/// Why there is no connection.
#[derive(Debug, Error)]
pub(super) enum ConnectError {
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
    /// Not even a connection was there in time.
    #[error("no complete answer within {timeout:?}: {phase}")]
    Silent {
        /// How long was waited.
        timeout: Duration,
        /// What was waited for when time ran out.
        phase: Phase,
    },
}

/// What connecting waits for, one after another.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Phase {
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

fn behind(advice: &str) -> String {
    match advice {
        "" => String::new(),
        advice => format!("; {advice}"),
    }
}
