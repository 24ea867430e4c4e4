//! Writes to standard output.

use std::{
    io::{self, ErrorKind, Write},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use rustix::{
    fs::{OFlags, fcntl_getfl},
    io::Errno,
};
use thiserror::Error;
use tokio::sync::oneshot;

/// Whether standard output was closed or read-only when the program started.
static IS_UNWRITABLE: AtomicBool = AtomicBool::new(false);

/// A text could not be written to standard output.
#[derive(Debug, Error)]
#[error("{what} could not be printed on standard output")]
pub struct Unprinted {
    what: &'static str,
    source: io::Error,
}

/// Records whether standard output can be written to. Must run before Rust's runtime starts: that replaces a closed descriptor by
/// /dev/null, and the standard library ignores EBADF.
pub fn note_whether_writable() {
    let is_unwritable = match fcntl_getfl(rustix::stdio::stdout()) {
        Ok(flags) => flags & OFlags::ACCMODE == OFlags::RDONLY,
        Err(error) => error == Errno::BADF,
    };
    IS_UNWRITABLE.store(is_unwritable, Ordering::Relaxed);
}

/// Prints `text`; an error names it as `what`. A signal, whose name `interrupted` returns, ends the wait for a reader.
///
/// # Errors
///
/// When it cannot be written completely.
pub(crate) async fn print(
    what: &'static str,
    text: String,
    interrupted: impl Future<Output = &'static str>,
) -> Result<(), Unprinted> {
    tokio::select! {
        biased;
        written = write(text) => written,
        signal = interrupted => Err(io::Error::other(format!("interrupted by {signal}"))),
    }
    .map_err(|source| Unprinted { what, source })
}

/// Prints a text whose reader may stop early, as in `exp-rkt-grpc --help | head`.
///
/// # Errors
///
/// When it cannot be written, unless its reader has closed the pipe.
pub async fn show(
    text: String,
    interrupted: impl Future<Output = &'static str>,
) -> Result<(), Unprinted> {
    match print("the requested text", text, interrupted).await {
        Err(unprinted) if unprinted.source.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// Writes on a thread of its own: the write may block, and the runtime's blocking threads may all be busy with name lookups.
async fn write(text: String) -> io::Result<()> {
    let (sender, written) = oneshot::channel();
    thread::Builder::new().spawn(move || sender.send(write_all(&text)))?;
    written.await.map_err(io::Error::other)?
}

fn write_all(text: &str) -> io::Result<()> {
    if IS_UNWRITABLE.load(Ordering::Relaxed) {
        return Err(Errno::BADF.into());
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
