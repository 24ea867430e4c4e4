//! Words out to systemd, and what it keeps for us, see sd_notify(3).
//!
//! None of these ever fails its caller: outside systemd they do nothing, and a manager that cannot be reached costs a debug line.

use std::time::Duration;

use sd_notify::NotifyState;

mod fd_store;

pub use fd_store::FdStore;

/// Longest `STATUS=` text in bytes; `systemctl status` shows one line.
const MAX_STATUS: usize = 512;

/// The start-up is complete: the socket is served and the signal handlers stand.
pub fn ready() {
    send(&[NotifyState::Ready]);
}

/// What `systemctl status` shows as `Status:`; one line, at most 512 bytes.
pub fn status(text: &str) {
    send(&[NotifyState::Status(&one_line(text))]);
}

/// The service has begun to stop.
pub fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// The service's loop is alive.
pub fn watchdog() {
    send(&[NotifyState::Watchdog]);
}

/// How often [`watchdog`] is to be called: half of `$WATCHDOG_USEC`, as sd_watchdog_enabled(3) advises.
///
/// `None` when the manager does not ask for it.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
        .map(|limit| limit / 2)
        .filter(|interval| !interval.is_zero())
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, ?state, "systemd not notified");
    }
}

/// A line break in a value would begin a new assignment.
fn one_line(text: &str) -> String {
    let line = text.replace(char::is_control, " ");
    line[..line.floor_char_boundary(MAX_STATUS)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::{MAX_STATUS, one_line};

    #[test]
    fn a_line_break_in_a_status_cannot_begin_another_assignment() {
        assert_eq!(one_line("refused\nREADY=1"), "refused READY=1");
    }

    #[test]
    fn a_long_status_is_cut_between_characters() {
        let cut = one_line(&"ä".repeat(MAX_STATUS));
        assert_eq!(cut.len(), MAX_STATUS);
        assert_eq!(
            one_line(&format!("x{}", "ä".repeat(MAX_STATUS))).len(),
            MAX_STATUS - 1
        );
    }
}
