//! Notifications to systemd, and its descriptor store, see sd_notify(3).
//!
//! Writing to systemd's socket blocks while systemd reads nothing, so notifications are queued. A newer notification replaces
//! a queued one of the same kind, so that systemd receives only current values. Notifying never fails: outside systemd it does
//! nothing, and an unreachable manager is logged at debug level.

use std::{
    collections::VecDeque,
    env,
    ffi::OsString,
    future::{Future, pending},
    io,
    mem::discriminant,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::Either;
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};

use crate::words;

mod datagram;
mod fd_store;
mod holdings;

pub use fd_store::FdStore;

use fd_store::Record;
use holdings::Holdings;

/// Variable that holds the address of the manager's socket.
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// Variable that holds `FileDescriptorStoreMax=` of the unit, since systemd 254.
const FDSTORE: &str = "FDSTORE";

/// Maximum length of the `STATUS=` text in bytes; `systemctl status` shows one line.
const MAX_STATUS: usize = 512;

/// How long the program waits for systemd to read before it exits.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends notifications to systemd in the order of the calls; does nothing outside systemd.
#[derive(Clone, Debug, Default)]
pub struct Notifier(Option<Arc<Queue>>);

/// The notifications that have not been sent.
#[derive(Debug, Default)]
struct Queue {
    notifications: Mutex<VecDeque<Notification>>,
    added: Notify,
}

#[derive(Debug)]
enum Notification {
    Ready,
    Status(String),
    Stopping,
    Watchdog,
    /// Stores a record in place of the previous one.
    Store(Record),
    /// Not sent: systemd holds this record from an earlier process.
    Holds(String),
    /// Removes a record.
    Remove(String),
    /// Not sent: reports that everything before it has been sent.
    Flushed(oneshot::Sender<()>),
}

impl Notifier {
    /// A notifier for the manager at `$NOTIFY_SOCKET`. The future sends and never ends; it runs in the loop of the service, so that
    /// a stuck loop sends nothing.
    pub fn from_env() -> (Self, impl Future<Output = ()> + Send + 'static) {
        let Some(manager) = manager() else {
            return (Self(None), Either::Left(pending()));
        };
        let queue = Arc::<Queue>::default();
        let notifier = Self(Some(Arc::clone(&queue)));
        (notifier, Either::Right(deliver(manager, queue)))
    }

    /// Start-up is complete: the socket is served and the signal handlers are installed.
    pub fn ready(&self) {
        self.notify(Notification::Ready);
    }

    /// The text that `systemctl status` shows as `Status:`; one line, at most 512 bytes.
    pub fn status(&self, text: &str) {
        self.notify(Notification::Status(text.to_owned()));
    }

    pub(crate) fn stopping(&self) {
        self.notify(Notification::Stopping);
    }

    pub(crate) fn watchdog(&self) {
        self.notify(Notification::Watchdog);
    }

    /// Waits until everything is sent, for at most two seconds.
    pub async fn flush(&self) {
        let (flushed, all) = oneshot::channel();
        self.notify(Notification::Flushed(flushed));
        // Outside systemd the sender is dropped, so this ends at once.
        let _ = timeout(FLUSH_TIMEOUT, all).await;
    }

    fn notify(&self, notification: Notification) {
        if let Some(queue) = &self.0 {
            queue.add(notification);
        }
    }
}

impl Queue {
    fn add(&self, notification: Notification) {
        let mut queue = self.lock();
        queue.retain(|earlier| !notification.replaces(earlier));
        queue.push_back(notification);
        self.added.notify_one();
    }

    /// Waits for a notification that `may_be_sent`. Cancel-safe.
    async fn next(&self, may_be_sent: impl Fn(&Notification) -> bool) -> Notification {
        loop {
            if let Some(next) = self.take(&may_be_sent) {
                return next;
            }
            self.added.notified().await;
        }
    }

    fn take(&self, may_be_sent: impl Fn(&Notification) -> bool) -> Option<Notification> {
        let mut queue = self.lock();
        queue.front().filter(|next| may_be_sent(next))?;
        queue.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Notification>> {
        self.notifications
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notification {
    fn replaces(&self, earlier: &Self) -> bool {
        !matches!(self, Self::Remove(_) | Self::Flushed(_))
            && discriminant(self) == discriminant(earlier)
    }

    /// Whether it must wait until the fate of the previous record is known.
    fn waits_for_the_store(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Flushed(_))
    }
}

/// Sends the queue to this manager, one notification after another.
async fn deliver(manager: OsString, queue: Arc<Queue>) {
    let room = env::var(FDSTORE).ok().and_then(|room| room.parse().ok());
    let mut store = Holdings::new(room);
    loop {
        let settled = !store.is_unsettled();
        let next = tokio::select! {
            biased;
            outdated = store.settled() => outdated.map(Notification::Remove),
            next = queue.next(|next| settled || !next.waits_for_the_store()) => Some(next),
        };
        let text = match next {
            Some(Notification::Ready) => "READY=1\n".to_owned(),
            Some(Notification::Status(text)) => status_line(&text),
            Some(Notification::Stopping) => format!("STOPPING=1\n{}", status_line("stopping")),
            Some(Notification::Watchdog) => "WATCHDOG=1\n".to_owned(),
            Some(Notification::Remove(name)) => holdings::remove(&name),
            Some(Notification::Store(record)) => {
                log_failure(store.send(&manager, record).await);
                continue;
            }
            Some(Notification::Holds(name)) => {
                store.holds(name);
                continue;
            }
            Some(Notification::Flushed(flushed)) => {
                // An error means that the caller no longer waits.
                let _ = flushed.send(());
                continue;
            }
            None => continue,
        };
        log_failure(datagram::send(&manager, &text, None).await);
    }
}

fn log_failure(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "systemd not notified");
    }
}

/// Sets the status of a program that exits; waits for at most two seconds.
pub(crate) fn last_status(text: &str) {
    send_now(&status_line(text));
}

/// Asks systemd for more time to start; waits for at most two seconds. `false` if the request was not sent.
pub(crate) fn extend_start(by: Duration) -> bool {
    send_now(&format!("EXTEND_TIMEOUT_USEC={}\n", by.as_micros()))
}

fn send_now(text: &str) -> bool {
    let Some(manager) = manager() else {
        return false;
    };
    let result = datagram::send_within(FLUSH_TIMEOUT, &manager, text);
    let is_sent = result.is_ok();
    log_failure(result);
    is_sent
}

/// Interval between watchdog notifications: half of `$WATCHDOG_USEC`, as sd_watchdog_enabled(3) advises.
///
/// `None` if the manager does not ask for it.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
        .map(|limit| limit / 2)
        .filter(|interval| !interval.is_zero())
}

fn manager() -> Option<OsString> {
    env::var_os(NOTIFY_SOCKET).filter(|path| !path.is_empty())
}

/// Escaped, because a line break in a value would begin a new assignment.
fn status_line(text: &str) -> String {
    format!("STATUS={}\n", words::cut(&words::escaped(text), MAX_STATUS))
}

#[cfg(test)]
mod tests {
    use super::{MAX_STATUS, status_line};

    #[test]
    fn a_line_break_in_a_status_cannot_begin_another_assignment() {
        assert_eq!(
            status_line("refused\nREADY=1"),
            "STATUS=refused\\nREADY=1\n"
        );
    }

    #[test]
    fn a_long_status_is_cut_between_characters() {
        let line_break_and_name = "STATUS=\n".len();
        let cut = status_line(&"ä".repeat(MAX_STATUS));
        assert!(cut.len() <= line_break_and_name + MAX_STATUS, "{cut}");
        assert!(cut.ends_with("ä… [cut]\n"), "{cut}");
    }
}
