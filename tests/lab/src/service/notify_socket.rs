//! A notification socket in place of systemd's (`sd_notify(3)`).

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

/// One datagram: its assignments, in their order.
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

    /// Whether the first assignment to `name` has this value, as in `says("READY", "1")`.
    pub fn says(&self, name: &str, value: &str) -> bool {
        self.value(name) == Some(value)
    }

    /// The text of `STATUS=`.
    pub fn status(&self) -> Option<&str> {
        self.value("STATUS")
    }
}

/// A bound notification socket. A thread reads from it continuously, so that senders never block. File descriptors in the
/// messages (`FDSTORE=1`, `BARRIER=1`) are closed.
#[derive(Debug)]
pub struct NotifySocket {
    path: PathBuf,
    socket: UnixDatagram,
    received: Arc<Watched<Received>>,
    reader: Option<JoinHandle<()>>,
    _folder: TempDir,
}

#[derive(Debug, Default)]
struct Received {
    all: Vec<Notification>,
    /// The number of notifications that `next`, `wait_for` and `skip` have consumed.
    passed: usize,
    /// The number of [`MARK`]s that have been read.
    marks: usize,
    /// The number of [`MARK`]s that have been sent.
    marked: usize,
    /// The socket is shut down and has been read to its end.
    ended: bool,
}

/// A datagram that this socket sends to itself. When it has been read, all earlier datagrams have been read, too. It is not a
/// notification.
const MARK: &[u8] = b"X_LAB_MARK=1";

impl NotifySocket {
    /// Binds a socket in a new temporary folder.
    pub fn bind() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket can be bound in a fresh folder");
        let received = Arc::new(Watched::default());
        let reader = thread::spawn({
            let received = Arc::clone(&received);
            let socket = socket.try_clone().expect("a descriptor can be duplicated");
            move || read(&socket, &received)
        });
        Self {
            path,
            socket,
            received,
            reader: Some(reader),
            _folder: folder,
        }
    }

    /// The value for `NOTIFY_SOCKET`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All notifications that were sent before this call.
    pub fn seen(&self) -> Vec<Notification> {
        self.catch_up();
        self.received.read(|received| received.all.clone())
    }

    /// The next notification; `None` if time runs out or the sender is gone.
    pub fn next(&self, within: Duration) -> Option<Notification> {
        self.wait_for(|_| true, within)
    }

    /// The next notification that `wanted` accepts; earlier ones are skipped.
    pub fn wait_for(
        &self,
        mut wanted: impl FnMut(&Notification) -> bool,
        within: Duration,
    ) -> Option<Notification> {
        let found = self.received.wait(within, |received| {
            while let Some(notification) = received.all.get(received.passed) {
                received.passed += 1;
                if wanted(notification) {
                    return Some(Some(notification.clone()));
                }
            }
            received.ended.then_some(None)
        });
        found.flatten()
    }

    /// Waits until the socket is shut down and all notifications have been read.
    pub(super) fn wait_for_end(&self, within: Duration) {
        self.received
            .wait(within, |received| received.ended.then_some(()));
    }

    /// Skips all notifications that were sent before this call.
    pub fn skip(&self) {
        self.catch_up();
        self.received
            .change(|received| received.passed = received.all.len());
    }

    /// Waits until all queued datagrams have been read: sends a [`MARK`] and waits until it has been read.
    fn catch_up(&self) {
        let mut marks = 0;
        self.received.change(|received| {
            received.marked += 1;
            marks = received.marked;
        });
        let queued = UnixDatagram::unbound().and_then(|sender| sender.send_to(MARK, &self.path));
        // Sending fails if the socket is shut down. Then wait for the end, which comes after all queued datagrams.
        self.received.wait(PATIENCE, |received| {
            (received.ended || (queued.is_ok() && received.marks >= marks)).then_some(())
        });
    }

    /// Another handle for `shutdown`. After a shutdown, queued datagrams are still read, and then all waits end.
    pub(super) fn handle(&self) -> io::Result<UnixDatagram> {
        self.socket.try_clone()
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        // Fails only if the socket is shut down already.
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Reads until the socket is shut down; recv(2) then returns 0.
fn read(socket: &UnixDatagram, received: &Watched<Received>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = socket.recv(&mut buffer) {
        if &buffer[..length] == MARK {
            received.change(|received| received.marks += 1);
            continue;
        }
        let notification = Notification::parse(&buffer[..length]);
        received.change(|received| received.all.push(notification));
    }
    received.change(|received| received.ended = true);
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
    fn waiting_skips_other_notifications_and_keeps_them_in_the_list() {
        let socket = NotifySocket::bind();
        send(&socket, "WATCHDOG=1");
        send(&socket, "STATUS=first");
        send(&socket, "STATUS=second");
        let has_status = |notification: &Notification| notification.status().is_some();
        let first = socket.wait_for(has_status, WITHIN).expect("one was sent");
        let second = socket.wait_for(has_status, WITHIN).expect("two were sent");
        assert_eq!(first.status(), Some("first"));
        assert_eq!(second.status(), Some("second"));
        assert_eq!(socket.seen().len(), 3);
    }

    #[test]
    fn more_datagrams_than_the_socket_can_queue_do_not_block_their_sender() {
        let socket = NotifySocket::bind();
        for number in 0..2_000 {
            send(&socket, &format!("STATUS={number}"));
        }
        let is_last = |notification: &Notification| notification.says("STATUS", "1999");
        let last = socket.wait_for(is_last, WITHIN);
        assert!(last.is_some());
    }

    #[test]
    fn notifications_sent_before_the_end_are_received_and_then_waits_end_at_once() {
        let socket = NotifySocket::bind();
        send(&socket, "STOPPING=1");
        let handle = socket.handle().expect("a descriptor can be duplicated");
        handle.shutdown(Shutdown::Both).expect("the socket is open");
        assert!(socket.next(WITHIN).is_some());
        assert!(socket.next(Duration::MAX / 4).is_none());
    }
}
