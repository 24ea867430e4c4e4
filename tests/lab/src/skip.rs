//! Skips tests that cannot run here, with a warning. In CI, a test that is skipped because of the host is a failure.

use std::env;
use std::fmt::Display;
use std::io::Write;
use std::thread;

/// The value that a test needs; if it is not available, `None` and a warning with the reason, see [`loudly`].
#[track_caller]
pub fn without<T>(needed: Result<T, impl Display>) -> Option<T> {
    needed.map_err(loudly).ok()
}

/// Prints a warning that the calling test is skipped, with the reason. Panics if `CI` is set, because CI must not skip tests.
#[track_caller]
pub fn loudly(obstacle: impl Display) {
    assert!(
        env::var_os("CI").is_none_or(|ci| ci.is_empty()),
        "a test must not be skipped if CI is set, but {obstacle}"
    );
    skipped(obstacle);
}

/// Skips the calling test with a warning, even in CI, because something outside this machine is missing: the history in a shallow
/// clone, or the Go module proxy.
pub fn permitted(obstacle: impl Display) {
    skipped(obstacle);
}

fn skipped(obstacle: impl Display) {
    // The test runner names each thread after its test. It hides the output of `eprintln!` if the test passes, so write directly.
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: {test}: {obstacle}.\n");
}
