//! What becomes of a test that this host cannot run.

use std::env;
use std::io::Write;
use std::thread;

/// Says loudly that the calling test is skipped, and why; panics with `CI` set, where none may be.
#[track_caller]
pub(crate) fn loudly(obstacle: &str) {
    assert!(
        env::var_os("CI").is_none_or(|ci| ci.is_empty()),
        "no test may be skipped where CI is set, and {obstacle}"
    );
    // The test runner names each test's thread after it, and keeps what macros print to itself when a test passes.
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: {test}: {obstacle}.\n");
}
