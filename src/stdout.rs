//! Standard output: what the command line asked for.

use std::{
    io::{self, ErrorKind, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    fs::{OFlags, fcntl_getfl},
    io::Errno,
};
use thiserror::Error;

/// Whether the program was started without it, or with one that cannot be written to.
static IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Standard output did not take a text.
#[derive(Debug, Error)]
#[error("{what} could not be printed on standard output")]
pub struct Unprinted {
    what: String,
    source: io::Error,
}

/// Notes whether there is a standard output that can be written to. To be called before Rust's own start, which opens /dev/null in
/// place of a closed one: later, it cannot be told from one that leads to /dev/null on purpose. And Rust takes what cannot be written
/// for written.
pub fn note_whether_closed() {
    let is_closed = match fcntl_getfl(rustix::stdio::stdout()) {
        Ok(flags) => flags & OFlags::ACCMODE == OFlags::RDONLY,
        Err(error) => error == Errno::BADF,
    };
    IS_CLOSED.store(is_closed, Ordering::Relaxed);
}

/// Prints `text`, which is named by `what` where it cannot be printed.
///
/// # Errors
///
/// When standard output does not take it all.
pub(crate) fn print(what: impl Into<String>, text: &str) -> Result<(), Unprinted> {
    write(text).map_err(|source| Unprinted {
        what: what.into(),
        source,
    })
}

/// Prints a text that may be read as far as its reader likes, as in `exp-rkt-grpc --help | head`.
///
/// # Errors
///
/// When standard output does not take it, unless its reader has gone.
pub fn show(text: &str) -> Result<(), Unprinted> {
    match print("the text that was asked for", text) {
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
