//! Tests that this host cannot run: said loudly, and CI's failure.

use std::env;
use std::fmt::Display;
use std::io::Write;
use std::thread;

/// What a test needs, or `None` and [`loudly`] why it is not to be had here.
#[track_caller]
pub fn without<T>(needed: Result<T, impl Display>) -> Option<T> {
    needed.map_err(loudly).ok()
}

/// Says that the calling test is skipped, and why; panics with `CI` set, where none may be.
#[track_caller]
pub fn loudly(obstacle: impl Display) {
    assert!(
        env::var_os("CI").is_none_or(|ci| ci.is_empty()),
        "no test may be skipped where CI is set, and {obstacle}"
    );
    // The test runner names each test's thread after it, and keeps what macros print to itself when a test passes.
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: {test}: {obstacle}.\n");
}
