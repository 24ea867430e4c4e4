//! systemd's file descriptor store: what outlives the process, but not a stop of the service.
//!
//! See `FDSTORE=1` in sd_notify(3) and `FileDescriptorStoreMax=` in systemd.service(5). A record is one message that waits in a
//! Unix socket whose other end is closed: it takes no file system and no memfd, both of which the sandbox bars, and it cannot be
//! half written. The next process looks at it without taking it out.

use std::{error::Error, io, os::fd::OwnedFd};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};

use super::{Notification, Notifier};

/// Longest record in bytes; a socket holds three times as much by default.
const MAX_RECORD: usize = 64 * 1024;

/// Names of the stored descriptors begin so, which is how activation knows them; a number follows that grows with each record.
const PREFIX: &str = "state-";

/// The records of this service in systemd's store.
#[derive(Debug, Default)]
pub struct FdStore {
    /// Of the latest record.
    number: u64,
    /// Whether it has been said that a record is too long.
    warned: bool,
    notifier: Notifier,
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

impl FdStore {
    /// Finds the latest of the `passed` records, and forgets the others.
    ///
    /// A record that cannot be read is forgotten too, with a warning.
    pub fn recover(passed: Vec<(String, OwnedFd)>, notifier: Notifier) -> (Self, Option<Vec<u8>>) {
        let latest = passed.iter().filter_map(|(name, _)| number_of(name)).max();
        let mut record = None;
        for (name, fd) in passed {
            if number_of(&name).is_some_and(|number| Some(number) == latest) {
                record = Some(peek(&fd));
                notifier.notify(Notification::Holds(name));
            } else {
                notifier.notify(Notification::Remove(name));
            }
        }
        let store = Self {
            number: latest.unwrap_or(0),
            warned: false,
            notifier,
        };
        let record = record.transpose().unwrap_or_else(|error| {
            store.drop_record(&error);
            None
        });
        (store, record)
    }

    /// Forgets the latest record, which is of no use, so that no later process warns of it again.
    pub fn drop_record(&self, error: &dyn Error) {
        tracing::warn!(%error, "kept numbers dropped");
        let dropped = Notification::Remove(name(self.number));
        self.notifier.notify(dropped);
    }

    /// Puts a record in the place of the last one, which stays until systemd has been sent this one.
    ///
    /// Outside systemd, or where the unit has no store, nothing happens. A record of more than 64 KiB is not kept, with one
    /// warning; the one before it stays.
    pub fn keep(&mut self, record: &[u8]) {
        if record.len() > MAX_RECORD {
            if !self.warned {
                tracing::warn!(bytes = record.len(), limit = MAX_RECORD, "numbers not kept");
            }
            self.warned = true;
            return;
        }
        match sealed(record) {
            Ok(fd) => {
                self.number += 1;
                let stored = Notification::Store(name(self.number), fd);
                self.notifier.notify(stored);
            }
            Err(error) => tracing::debug!(%error, "numbers not kept"),
        }
    }
}

fn name(number: u64) -> String {
    format!("{PREFIX}{number}")
}

fn sealed(record: &[u8]) -> io::Result<OwnedFd> {
    let (reader, writer) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    send(&writer, record, SendFlags::NOSIGNAL)?;
    Ok(reader)
}

fn peek(fd: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; MAX_RECORD + 1];
    let (_, length) = recv(
        fd,
        buffer.as_mut_slice(),
        RecvFlags::PEEK | RecvFlags::DONTWAIT,
    )?;
    match length {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is empty")),
        length if length > MAX_RECORD => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is longer than 64 KiB",
        )),
        length => {
            buffer.truncate(length);
            Ok(buffer)
        }
    }
}

/// The other end is closed, which systemd would take for a reason to drop the descriptor: FDPOLL=0 keeps it from looking.
pub(super) fn store(name: &str) -> String {
    format!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0\n")
}

pub(super) fn remove(name: &str) -> String {
    format!("FDSTOREREMOVE=1\nFDNAME={name}\n")
}

#[cfg(test)]
mod tests {
    use super::{FdStore, MAX_RECORD, Notifier, peek, sealed};

    #[test]
    fn a_record_can_be_looked_at_again_and_again() {
        let record = vec![7; MAX_RECORD];
        let fd = sealed(&record).expect("a socket pair");
        assert_eq!(peek(&fd).expect("a record"), record);
        assert_eq!(peek(&fd).expect("a record"), record);
    }

    #[test]
    fn a_record_that_is_too_long_is_not_read() {
        let fd = sealed(&vec![7; MAX_RECORD + 1]).expect("a socket pair");
        peek(&fd).expect_err("too long");
    }

    #[test]
    fn a_descriptor_that_holds_nothing_is_not_a_record() {
        let fd = sealed(&[]).expect("a socket pair");
        peek(&fd).expect_err("empty");
        let file = std::fs::File::open("/dev/null").expect("a device").into();
        peek(&file).expect_err("no socket");
    }

    #[test]
    fn the_latest_of_several_records_is_recovered() {
        let passed = [("state-9", b"old"), ("state-10", b"new")]
            .map(|(name, record)| (name.to_owned(), sealed(record).expect("a socket pair")));
        let (store, record) = FdStore::recover(passed.into(), Notifier::default());
        assert_eq!(record.as_deref(), Some(&b"new"[..]));
        assert_eq!(store.number, 10);
    }
}
