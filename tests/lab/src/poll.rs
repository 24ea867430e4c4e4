//! Waits by polling where no event is available, such as for a number in `/proc`.

use std::thread;
use std::time::{Duration, Instant};

use crate::service::PATIENCE;

/// The polling interval.
const PAUSE: Duration = Duration::from_millis(10);

/// Calls `look` repeatedly until it returns a value. After [`PATIENCE`], panics with a message that contains `what`.
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
