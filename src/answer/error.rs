//! Why a query failed.

use std::time::Duration;

use thiserror::Error;

use super::Code;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum QueryError {
    /// The connection failed.
    #[error("{message}")]
    Connect {
        code: Code,
        /// What happened, where, and what to do.
        message: String,
    },
    /// The answer was not complete in time.
    #[error("no complete answer within {0:?}")]
    Deadline(Duration),
    /// The service is stopping, or the command was interrupted.
    #[error("given up because the service is stopping")]
    Abandoned,
    /// A bug of this program, not of the store.
    #[error("{0}")]
    Panicked(String),
    /// The call failed: with the store's own error, or because its answer was malformed.
    #[error("{message}")]
    Call {
        code: Code,
        /// The store's text, cut to 1 KiB.
        message: String,
    },
}

impl QueryError {
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Connect { code, .. } | Self::Call { code, .. } => *code,
            Self::Deadline(_) => Code::DEADLINE_EXCEEDED,
            Self::Abandoned => Code::CANCELLED,
            Self::Panicked(_) => Code::INTERNAL,
        }
    }

    /// The message, preceded by the code if it is the store's own, which may be short.
    pub(crate) fn with_code(&self) -> String {
        match self {
            Self::Call { code, message } => format!("{}: {message}", code.name()),
            ours => ours.to_string(),
        }
    }
}
