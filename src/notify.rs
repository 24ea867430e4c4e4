//! Words out to systemd, and what it keeps for us, see sd_notify(3).
//!
//! systemd's socket blocks its writers while systemd reads nothing, so whatever cannot be sent at once waits. Of each kind of
//! notification only the latest waits: systemd hears what is still true. None of these ever fails its caller: outside systemd
//! they do nothing, and a manager that cannot be reached costs a debug line.

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

/// Where the manager listens.
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// Longest `STATUS=` text in bytes; `systemctl status` shows one line.
const MAX_STATUS: usize = 512;

/// How long the end of the program may wait for systemd to read.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends notifications to systemd, in the order of their calls; without systemd, nowhere.
#[derive(Clone, Debug, Default)]
pub struct Notifier(Option<Arc<Waiting>>);

/// What has not been sent.
#[derive(Debug, Default)]
struct Waiting {
    notifications: Mutex<VecDeque<Notification>>,
    added: Notify,
}

#[derive(Debug)]
enum Notification {
    Ready,
    Status(String),
    Stopping,
    Watchdog,
    /// A record to keep in the place of the one before it.
    Store(Record),
    /// Nothing to send: systemd has this record from an earlier process.
    Holds(String),
    /// A record to forget.
    Remove(String),
    /// Nothing to send: all before this has been.
    Flushed(oneshot::Sender<()>),
}

impl Notifier {
    /// For the manager of `$NOTIFY_SOCKET`. The future sends, and never ends; it belongs to the service's loop, so that a loop that
    /// is stuck is silent.
    pub fn from_env() -> (Self, impl Future<Output = ()> + Send + 'static) {
        let Some(manager) = manager() else {
            return (Self(None), Either::Left(pending()));
        };
        let waiting = Arc::<Waiting>::default();
        let notifier = Self(Some(Arc::clone(&waiting)));
        (notifier, Either::Right(deliver(manager, waiting)))
    }

    /// The start-up is complete: the socket is served and the signal handlers stand.
    pub fn ready(&self) {
        self.notify(Notification::Ready);
    }

    /// What `systemctl status` shows as `Status:`; one line, at most 512 bytes.
    pub fn status(&self, text: &str) {
        self.notify(Notification::Status(text.to_owned()));
    }

    /// The service has begun to stop.
    pub(crate) fn stopping(&self) {
        self.notify(Notification::Stopping);
    }

    /// The service's loop is alive.
    pub(crate) fn watchdog(&self) {
        self.notify(Notification::Watchdog);
    }

    /// Waits until everything is sent, for at most two seconds.
    pub async fn flush(&self) {
        let (flushed, all) = oneshot::channel();
        self.notify(Notification::Flushed(flushed));
        // An error: outside systemd there is nothing to wait for.
        let _ = timeout(FLUSH_TIMEOUT, all).await;
    }

    fn notify(&self, notification: Notification) {
        if let Some(waiting) = &self.0 {
            waiting.add(notification);
        }
    }
}

impl Waiting {
    fn add(&self, notification: Notification) {
        let mut waiting = self.lock();
        waiting.retain(|earlier| !notification.replaces(earlier));
        waiting.push_back(notification);
        self.added.notify_one();
    }

    /// The next one, once there is one and it `may_be_sent`. Nothing is lost when it is dropped while it waits.
    async fn next(&self, may_be_sent: impl Fn(&Notification) -> bool) -> Notification {
        loop {
            if let Some(next) = self.take(&may_be_sent) {
                return next;
            }
            self.added.notified().await;
        }
    }

    fn take(&self, may_be_sent: impl Fn(&Notification) -> bool) -> Option<Notification> {
        let mut waiting = self.lock();
        waiting.front().filter(|next| may_be_sent(next))?;
        waiting.pop_front()
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

    /// Whether it has to wait until it is known what became of the record before it.
    fn waits_for_the_store(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Flushed(_))
    }
}

/// Sends what waits for this manager, one notification after the other.
async fn deliver(manager: OsString, waiting: Arc<Waiting>) {
    let mut store = Holdings::default();
    loop {
        let settled = !store.is_unsettled();
        let next = tokio::select! {
            biased;
            outdated = store.settled() => outdated.map(Notification::Remove),
            next = waiting.next(|next| settled || !next.waits_for_the_store()) => Some(next),
        };
        let text = match next {
            Some(Notification::Ready) => "READY=1\n".to_owned(),
            Some(Notification::Status(text)) => status_line(&text),
            Some(Notification::Stopping) => format!("STOPPING=1\n{}", status_line("stopping")),
            Some(Notification::Watchdog) => "WATCHDOG=1\n".to_owned(),
            Some(Notification::Remove(name)) => holdings::remove(&name),
            Some(Notification::Store(record)) => {
                sent(store.send(&manager, record).await);
                continue;
            }
            Some(Notification::Holds(name)) => {
                store.holds(name);
                continue;
            }
            Some(Notification::Flushed(flushed)) => {
                // Nobody waits any more.
                let _ = flushed.send(());
                continue;
            }
            None => continue,
        };
        sent(datagram::send(&manager, &text, None).await);
    }
}

fn sent(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "systemd not notified");
    }
}

/// What `systemctl status` shows of a program that ends; waits for at most two seconds.
pub(crate) fn last_status(text: &str) {
    send_now(&status_line(text));
}

/// Asks systemd for so much more time to start; waits for at most two seconds. `false`: no systemd has been told.
#[must_use]
pub(crate) fn extend_start(by: Duration) -> bool {
    send_now(&format!("EXTEND_TIMEOUT_USEC={}\n", by.as_micros()))
}

fn send_now(text: &str) -> bool {
    let Some(manager) = manager() else {
        return false;
    };
    let result = datagram::send_within(FLUSH_TIMEOUT, &manager, text);
    let is_sent = result.is_ok();
    sent(result);
    is_sent
}

/// How often [`Notifier::watchdog`] is to be called: half of `$WATCHDOG_USEC`, as sd_watchdog_enabled(3) advises.
///
/// `None` when the manager does not ask for it.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
        .map(|limit| limit / 2)
        .filter(|interval| !interval.is_zero())
}

fn manager() -> Option<OsString> {
    env::var_os(NOTIFY_SOCKET).filter(|path| !path.is_empty())
}

/// A line break in a value would begin a new assignment.
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
