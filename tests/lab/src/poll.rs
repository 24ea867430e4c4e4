//! Waits for what nobody announces, such as a number in `/proc`.

use std::thread;
use std::time::{Duration, Instant};

use crate::service::PATIENCE;

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks again and again until `look` finds something; panics with `what` was looked for after [`PATIENCE`].
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "after {PATIENCE:?} still waiting for {what}"
        );
        thread::sleep(PAUSE);
    }
}
