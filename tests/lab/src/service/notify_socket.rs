//! The socket on which systemd would hear from the service (`sd_notify(3)`).

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;

use super::PATIENCE;
use super::watched::Watched;

/// One datagram: the assignments that were sent together, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Name and value of each `NAME=value` line.
    pub assignments: Vec<(String, String)>,
}

impl Notification {
    fn parse(datagram: &[u8]) -> Self {
        let assignments = String::from_utf8_lossy(datagram)
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self { assignments }
    }

    /// The value of the first assignment to `name`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.assignments
            .iter()
            .find_map(|(assigned, value)| (assigned == name).then_some(value.as_str()))
    }

    /// Whether `name=value` is among the assignments, as in `says("READY", "1")`.
    pub fn says(&self, name: &str, value: &str) -> bool {
        self.value(name) == Some(value)
    }

    /// The text of `STATUS=`.
    pub fn status(&self) -> Option<&str> {
        self.value("STATUS")
    }
}

/// A bound notification socket. A thread reads it all the time, so that nobody who writes to it ever blocks;
/// file descriptors that come along (`FDSTORE=1`, `BARRIER=1`) are closed unseen.
#[derive(Debug)]
pub struct NotifySocket {
    path: PathBuf,
    socket: UnixDatagram,
    heard: Arc<Watched<Heard>>,
    reader: Option<JoinHandle<()>>,
    _folder: TempDir,
}

#[derive(Debug, Default)]
struct Heard {
    all: Vec<Notification>,
    /// How many of them `next`, `wait_for` and `skip` have passed.
    passed: usize,
    /// How many [`MARK`]s have been read.
    marks: usize,
    /// How many have been sent.
    marked: usize,
    /// Nothing more will come.
    ended: bool,
}

/// A datagram of ours, which nobody hears of: once it is read, so is what was sent before it.
const MARK: &[u8] = b"X_LAB_MARK=1";

impl NotifySocket {
    /// Binds a socket in a temporary folder of its own.
    pub fn bind() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket can be bound in a fresh folder");
        let heard = Arc::new(Watched::default());
        let reader = thread::spawn({
            let heard = Arc::clone(&heard);
            let socket = socket.try_clone().expect("a descriptor can be duplicated");
            move || read(&socket, &heard)
        });
        Self {
            path,
            socket,
            heard,
            reader: Some(reader),
            _folder: folder,
        }
    }

    /// What `NOTIFY_SOCKET` is to say.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every notification so far: all that was sent before this call.
    pub fn seen(&self) -> Vec<Notification> {
        self.catch_up();
        self.heard.read(|heard| heard.all.clone())
    }

    /// The next notification in turn; `None` when time runs out or the sender is gone.
    pub fn next(&self, within: Duration) -> Option<Notification> {
        self.wait_for(|_| true, within)
    }

    /// The next notification that `wanted` accepts; those before it are passed over.
    pub fn wait_for(
        &self,
        mut wanted: impl FnMut(&Notification) -> bool,
        within: Duration,
    ) -> Option<Notification> {
        let found = self.heard.wait(within, |heard| {
            while let Some(notification) = heard.all.get(heard.passed) {
                heard.passed += 1;
                if wanted(notification) {
                    return Some(Some(notification.clone()));
                }
            }
            heard.ended.then_some(None)
        });
        found.flatten()
    }

    /// Waits until nothing more can come, once the sender is gone.
    pub(super) fn wait_for_end(&self, within: Duration) {
        self.heard.wait(within, |heard| heard.ended.then_some(()));
    }

    /// Passes over what was sent before this call.
    pub fn skip(&self) {
        self.catch_up();
        self.heard.change(|heard| heard.passed = heard.all.len());
    }

    /// Waits until all that is queued has been read, by a datagram of our own behind it.
    fn catch_up(&self) {
        let mut marks = 0;
        self.heard.change(|heard| {
            heard.marked += 1;
            marks = heard.marked;
        });
        let queued = UnixDatagram::unbound().and_then(|sender| sender.send_to(MARK, &self.path));
        // It cannot be sent once the socket is shut down, and then the end comes after all that was queued.
        self.heard.wait(PATIENCE, |heard| {
            (heard.ended || (queued.is_ok() && heard.marks >= marks)).then_some(())
        });
    }

    /// Another handle, with which to `shutdown` the socket: what is queued is still read, then every wait ends.
    pub(super) fn handle(&self) -> io::Result<UnixDatagram> {
        self.socket.try_clone()
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        // Fails only if it is shut down already.
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Reads until the socket is shut down, which reads as an empty datagram.
fn read(socket: &UnixDatagram, heard: &Watched<Heard>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = socket.recv(&mut buffer) {
        if &buffer[..length] == MARK {
            heard.change(|heard| heard.marks += 1);
            continue;
        }
        let notification = Notification::parse(&buffer[..length]);
        heard.change(|heard| heard.all.push(notification));
    }
    heard.change(|heard| heard.ended = true);
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = PATIENCE;

    fn send(socket: &NotifySocket, datagram: &str) {
        let sender = UnixDatagram::unbound().expect("a socket can be made");
        sender
            .send_to(datagram.as_bytes(), socket.path())
            .expect("the socket is bound and read");
    }

    #[test]
    fn a_datagram_is_one_notification_with_all_its_assignments() {
        let socket = NotifySocket::bind();
        send(&socket, "READY=1\nSTATUS=a=b\n");
        let notification = socket.next(WITHIN).expect("one was sent");
        assert!(notification.says("READY", "1"));
        assert_eq!(notification.status(), Some("a=b"));
        assert_eq!(notification.value("STOPPING"), None);
    }

    #[test]
    fn waiting_passes_over_what_is_not_wanted_and_remembers_it() {
        let socket = NotifySocket::bind();
        send(&socket, "WATCHDOG=1");
        send(&socket, "STATUS=first");
        send(&socket, "STATUS=second");
        let has_status = |notification: &Notification| notification.status().is_some();
        let first = socket.wait_for(has_status, WITHIN).expect("it was sent");
        let second = socket.wait_for(has_status, WITHIN).expect("it was sent");
        assert_eq!(first.status(), Some("first"));
        assert_eq!(second.status(), Some("second"));
        assert_eq!(socket.seen().len(), 3);
    }

    #[test]
    fn more_datagrams_than_a_socket_holds_do_not_block_their_sender() {
        let socket = NotifySocket::bind();
        for number in 0..2_000 {
            send(&socket, &format!("STATUS={number}"));
        }
        let last = socket.wait_for(|heard| heard.says("STATUS", "1999"), WITHIN);
        assert!(last.is_some());
    }

    #[test]
    fn what_was_sent_before_the_end_is_heard_and_then_waits_end_at_once() {
        let socket = NotifySocket::bind();
        send(&socket, "STOPPING=1");
        let handle = socket.handle().expect("a descriptor can be duplicated");
        handle.shutdown(Shutdown::Both).expect("it is open");
        assert!(socket.next(WITHIN).is_some());
        assert!(socket.next(Duration::MAX / 4).is_none());
    }
}
