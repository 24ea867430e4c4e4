//! Skips tests that cannot run here, with a warning. In CI, a test that is skipped because of the host is a failure.

use std::env;
use std::fmt::Display;
use std::fs::File;
use std::io::Write;
use std::thread;

use crate::supply::Obstacle;

/// The value that a test needs; if it is not available, `None` and a warning with the reason, see [`loudly`].
#[track_caller]
pub fn without<T>(needed: Result<T, impl Display>) -> Option<T> {
    needed.map_err(loudly).ok()
}

/// The same for what a script supplies. What cannot be reached from this machine is missing even in CI.
#[track_caller]
pub fn without_supply<T>(supplied: Result<T, &Obstacle>) -> Option<T> {
    match supplied {
        Ok(supply) => return Some(supply),
        Err(missing @ Obstacle::OutOfReach(_)) => skipped(missing),
        Err(missing @ Obstacle::Failed(_)) => loudly(missing),
    }
    None
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

/// Also appends a line to the file that `SKIPPED_TESTS` names, for `make test` to count.
fn skipped(obstacle: impl Display) {
    // The test runner names each thread after its test. It hides the output of `eprintln!` if the test passes, so write directly.
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: {test}: {obstacle}.\n");
    if let Some(list) = env::var_os("SKIPPED_TESTS") {
        let list = File::options().create(true).append(true).open(list);
        // In one write, because others append at the same time.
        let line = format!("{test}: {obstacle}").replace('\n', " ") + "\n";
        let counted = list.and_then(|mut list| list.write_all(line.as_bytes()));
        counted.expect("the list of skipped tests can be written to");
    }
}
