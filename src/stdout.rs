//! Standard output: what the command line asked for.

use std::{
    io::{self, ErrorKind, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::io::{Errno, fcntl_getfd};
use thiserror::Error;

/// Whether the program was started without it.
static IS_CLOSED: AtomicBool = AtomicBool::new(false);

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

/// Notes whether there is a standard output. To be called before Rust's own start, which opens /dev/null in its place: later, it
/// cannot be told from one that leads to /dev/null on purpose.
pub fn note_whether_closed() {
    let is_closed = fcntl_getfd(rustix::stdio::stdout()) == Err(Errno::BADF);
    IS_CLOSED.store(is_closed, Ordering::Relaxed);
}

/// Prints `text`, which is named by `what` where it cannot be printed.
///
/// # Errors
///
/// When standard output does not take it all.
pub fn print(what: impl Into<String>, text: &str) -> Result<(), Unprinted> {
    write(text).map_err(|source| Unprinted {
        what: what.into(),
        source,
    })
}

fn write(text: &str) -> io::Result<()> {
    if IS_CLOSED.load(Ordering::Relaxed) {
        return Err(Errno::BADF.into());
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
