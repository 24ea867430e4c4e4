//! systemd's file descriptor store, which outlives the process but not a stop of the service.
//!
//! See `FDSTORE=1` in sd_notify(3) and `FileDescriptorStoreMax=` in systemd.service(5). A record is one message in the queue of a
//! Unix socket whose other end is closed: it needs no file system and no memfd, which the sandbox forbids, and it is never written
//! in part. The next process reads it with MSG_PEEK, so that it stays.

use std::{
    io::{self, ErrorKind},
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};

use super::{Notification, Notifier};

/// Maximum length of a record in bytes; a socket holds three times as much by default.
const MAX_RECORD: usize = 64 * 1024;

/// Prefix of the names of stored descriptors, by which `activation` recognizes them; a number follows that grows with each record.
const PREFIX: &str = "state-";

/// The records of this service in systemd's store. Copies share them.
#[derive(Clone, Debug, Default)]
pub struct FdStore {
    /// The number of the latest record.
    number: Arc<AtomicU64>,
    /// Whether the last record could not be kept, which was logged.
    warned: Arc<AtomicBool>,
    notifier: Notifier,
}

/// A record to be stored.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) name: String,
    /// The descriptor for systemd to store.
    pub(super) reader: OwnedFd,
    /// Its peer, which shows whether it is still open.
    pub(super) writer: OwnedFd,
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

impl FdStore {
    /// Reads the latest of the `passed` records, and removes the others.
    ///
    /// The result is an error if that record cannot be read; the next record replaces it.
    pub(crate) fn recover(
        passed: Vec<(String, OwnedFd)>,
        notifier: Notifier,
    ) -> (Self, Option<io::Result<Vec<u8>>>) {
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
            number: Arc::new(AtomicU64::new(latest.unwrap_or(0))),
            warned: Arc::default(),
            notifier,
        };
        (store, record)
    }

    /// Stores a record in place of the last one, which stays until systemd has stored this one. A record of more than 64 KiB is
    /// logged once, and `short` is stored instead.
    ///
    /// Has no effect outside systemd or if the unit has no store. If no descriptor is left, that is logged once and the last record
    /// stays.
    pub(crate) fn keep(&self, record: &[u8], short: &[u8]) {
        if self.notifier.0.is_none() {
            return;
        }
        let whole = sealed(record);
        match &whole {
            Ok(_) => self.warned.store(false, Ordering::Relaxed),
            Err(error) if !self.warned.swap(true, Ordering::Relaxed) => {
                tracing::warn!(bytes = record.len(), %error, "numbers not kept");
            }
            Err(_) => {}
        }
        let socket = match whole {
            Err(error) if error.kind() == ErrorKind::FileTooLarge => sealed(short),
            whole => whole,
        };
        if let Ok((reader, writer)) = socket {
            let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
            let name = name(number);
            self.notifier.notify(Notification::Store(Record {
                name,
                reader,
                writer,
            }));
        }
    }
}

fn name(number: u64) -> String {
    format!("{PREFIX}{number}")
}

/// A socket that holds the record in its queue, and its peer.
fn sealed(record: &[u8]) -> io::Result<(OwnedFd, OwnedFd)> {
    if record.len() > MAX_RECORD {
        return Err(too_long());
    }
    let (reader, writer) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    send(&writer, record, SendFlags::NOSIGNAL)?;
    Ok((reader, writer))
}

fn too_long() -> io::Error {
    io::Error::new(ErrorKind::FileTooLarge, "it is longer than 64 KiB")
}

fn peek(fd: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; MAX_RECORD + 1];
    let (_, length) = recv(
        fd,
        buffer.as_mut_slice(),
        RecvFlags::PEEK | RecvFlags::DONTWAIT,
    )?;
    match length {
        0 => Err(io::Error::new(ErrorKind::UnexpectedEof, "it is empty")),
        length if length > MAX_RECORD => Err(too_long()),
        length => {
            buffer.truncate(length);
            Ok(buffer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        FdStore, MAX_RECORD, Notifier, Ordering, RecvFlags, SendFlags, peek, recv, sealed, send,
    };

    #[test]
    fn a_record_can_be_read_again_and_again() {
        let record = vec![7; MAX_RECORD];
        let (fd, _) = sealed(&record).expect("a socket pair");
        assert_eq!(peek(&fd).expect("a record"), record);
        assert_eq!(peek(&fd).expect("a record"), record);
    }

    #[test]
    fn a_record_that_is_too_long_is_neither_made_nor_read() {
        let long = vec![7; MAX_RECORD + 1];
        sealed(&long).expect_err("too long");
        let (fd, writer) = sealed(&[7]).expect("a socket pair");
        peek(&fd).expect("a record");
        recv(&fd, &mut [0_u8], RecvFlags::DONTWAIT).expect("it is there");
        send(&writer, &long, SendFlags::NOSIGNAL).expect("there is room");
        peek(&fd).expect_err("too long");
    }

    #[test]
    fn a_descriptor_without_a_message_is_not_a_record() {
        let (fd, _) = sealed(&[]).expect("a socket pair");
        peek(&fd).expect_err("empty");
        let file = std::fs::File::open("/dev/null").expect("a device").into();
        peek(&file).expect_err("no socket");
    }

    #[test]
    fn the_latest_of_several_records_is_recovered() {
        let passed = [("state-9", b"old"), ("state-10", b"new")]
            .map(|(name, record)| (name.to_owned(), sealed(record).expect("a socket pair").0));
        let (store, record) = FdStore::recover(passed.into(), Notifier::default());
        let record = record.expect("it is there").expect("it can be read");
        assert_eq!(record, b"new");
        assert_eq!(store.number.load(Ordering::Relaxed), 10);
    }
}
