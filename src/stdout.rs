//! Writes to standard output.

use std::{
    io::{self, ErrorKind, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    fs::{OFlags, fcntl_getfl},
    io::Errno,
};
use thiserror::Error;

/// Whether standard output was closed or read-only when the program started.
static IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// A text could not be written to standard output.
#[derive(Debug, Error)]
#[error("{what} could not be printed on standard output")]
pub struct Unprinted {
    what: String,
    source: io::Error,
}

/// Records whether standard output can be written to. Call it before Rust's runtime starts, which replaces a closed one by
/// /dev/null; and the standard library ignores EBADF when it writes to standard output.
pub fn note_whether_closed() {
    let is_closed = match fcntl_getfl(rustix::stdio::stdout()) {
        Ok(flags) => flags & OFlags::ACCMODE == OFlags::RDONLY,
        Err(error) => error == Errno::BADF,
    };
    IS_CLOSED.store(is_closed, Ordering::Relaxed);
}

/// Prints `text`; an error names it as `what`.
///
/// # Errors
///
/// When it cannot be written completely.
pub(crate) fn print(what: impl Into<String>, text: &str) -> Result<(), Unprinted> {
    write(text).map_err(|source| Unprinted {
        what: what.into(),
        source,
    })
}

/// Prints a text whose reader may stop early, as in `exp-rkt-grpc --help | head`.
///
/// # Errors
///
/// When it cannot be written, unless its reader has closed the pipe.
pub fn show(text: &str) -> Result<(), Unprinted> {
    match print("the requested text", text) {
        Err(unprinted) if unprinted.source.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

fn write(text: &str) -> io::Result<()> {
    if IS_CLOSED.load(Ordering::Relaxed) {
        return Err(Errno::BADF.into());
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
