//! Why a query has no answer.

use std::time::Duration;

use thiserror::Error;

use super::Code;

/// Why a query has no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum QueryError {
    /// There was no connection, for a reason that has been put into a sentence.
    #[error("{message}")]
    Connect {
        /// The kind of failure.
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
    /// The call ended with an error: the store's own, or one that describes a broken answer.
    #[error("{message}")]
    Call {
        /// The gRPC status code.
        code: Code,
        /// The store's text, cut to 1 KiB.
        message: String,
    },
}

impl QueryError {
    /// The kind of failure.
    #[must_use]
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Connect { code, .. } | Self::Call { code, .. } => *code,
            Self::Deadline(_) => Code::DEADLINE_EXCEEDED,
            Self::Abandoned => Code::CANCELLED,
            Self::Panicked(_) => Code::INTERNAL,
        }
    }

    /// The message, behind the code where the message is the store's: it may be short.
    #[must_use]
    pub(crate) fn with_code(&self) -> String {
        match self {
            Self::Call { code, message } => format!("{}: {message}", code.name()),
            ours => ours.to_string(),
        }
    }
}
