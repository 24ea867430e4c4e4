//! Standard output: what the command line asked for.
//!
//! A descriptor that is closed when the program starts cannot be told from one that leads to /dev/null: Rust's runtime opens
//! /dev/null in its place, for reading and writing, as other programs do when they want to discard what a child prints.

use std::io::{self, ErrorKind, Write};

use thiserror::Error;

/// Standard output did not take a text.
#[derive(Debug, Error)]
#[error("{what} could not be printed on standard output")]
pub struct Unprinted {
    what: String,
    source: io::Error,
}

impl Unprinted {
    /// Whether its reader has gone, as in `exp-rkt-grpc --help | head`.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.source.kind() == ErrorKind::BrokenPipe
    }
}

/// Prints `text`, which is named by `what` where it cannot be printed.
///
/// # Errors
///
/// When standard output does not take it all.
pub fn print(what: impl Into<String>, text: &str) -> Result<(), Unprinted> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|source| Unprinted {
            what: what.into(),
            source,
        })
}
