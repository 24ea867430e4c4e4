//! The records in systemd's file descriptor store: one is removed only once a newer one is stored.

use std::{
    ffi::OsStr,
    future::pending,
    io::{self, ErrorKind},
    mem,
    os::fd::OwnedFd,
    time::Duration,
};

use rustix::net::{RecvFlags, recv};
use tokio::{io::AsyncReadExt, net::UnixStream, time::timeout};

use super::{datagram, fd_store::Record};

/// How long to wait for the confirmation that systemd has read a record.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// The records of this service that systemd holds.
///
/// systemd does not report whether it has stored a descriptor; it has not if the store is full (`FileDescriptorStoreMax=`) or if it
/// has no descriptors left. So each record is followed by a second descriptor, which systemd closes when it has read everything
/// before (`BARRIER=1`). If the record was not stored, no process holds its descriptor by then, and its peer shows that.
///
/// Since version 254, systemd closes both descriptors in processes of their own, so that a record that it does not store may still be
/// open. But since that version, it also says how many descriptors it stores, in `$FDSTORE`: see systemd.exec(5).
#[derive(Debug)]
pub(super) struct Holdings {
    /// Whether the store has room for a second record, unless systemd does not say.
    has_room: bool,
    /// The name of the record that is certainly stored.
    held: Option<String>,
    sent: Option<Sent>,
    /// Whether a record that was not stored has been logged.
    warned: bool,
}

/// A record that was sent and may have been stored.
#[derive(Debug)]
struct Sent {
    name: String,
    writer: OwnedFd,
    barrier: Option<UnixStream>,
}

impl Holdings {
    /// None yet, in a store for at most `room` descriptors.
    pub(super) fn new(room: Option<u32>) -> Self {
        Self {
            has_room: room.is_none_or(|room| room >= 2),
            held: None,
            sent: None,
            warned: false,
        }
    }

    /// systemd holds this record from an earlier process.
    pub(super) fn holds(&mut self, name: String) {
        self.held = Some(name);
    }

    /// Sends a record to be stored beside the current one.
    pub(super) async fn send(&mut self, manager: &OsStr, record: Record) -> io::Result<()> {
        let Record {
            name,
            reader,
            writer,
        } = record;
        datagram::send(manager, &store(&name), Some(reader)).await?;
        let barrier = barrier(manager).await;
        if let Err(error) = &barrier {
            tracing::debug!(%error, "systemd not notified");
        }
        self.sent = Some(Sent {
            name,
            writer,
            barrier: barrier.ok(),
        });
        Ok(())
    }

    /// Waits for at most two seconds until systemd has read the record that was sent, and returns the name of the record to remove.
    /// If none was sent, waits forever. Cancel-safe.
    pub(super) async fn settled(&mut self) -> Option<String> {
        match &mut self.sent {
            Some(sent) => sent.read().await,
            None => pending().await,
        }
        let sent = self.sent.take()?;
        let fits = self.has_room || self.held.is_none();
        if fits && sent.is_kept() {
            self.warned = false;
            return self.held.replace(sent.name);
        }
        if self.held.is_some() && !mem::replace(&mut self.warned, true) {
            tracing::warn!(
                record = sent.name,
                cure = "set FileDescriptorStoreMax=2, see systemd.service(5)",
                "systemd did not store the latest numbers; a restart would show older ones"
            );
        }
        None
    }

    /// Whether a record was sent and it is not known yet if it was stored.
    pub(super) fn is_unsettled(&self) -> bool {
        self.sent.is_some()
    }
}

impl Sent {
    async fn read(&mut self) {
        if let Some(barrier) = &mut self.barrier {
            // End of file or an error: both mean that it was closed. A manager that never closes it does not support barriers.
            let _ = timeout(SETTLE_TIMEOUT, barrier.read(&mut [0])).await;
        }
    }

    fn is_kept(&self) -> bool {
        let read = recv(&self.writer, &mut [0_u8], RecvFlags::DONTWAIT);
        read.is_err_and(|error| io::Error::from(error).kind() == ErrorKind::WouldBlock)
    }
}

/// Sends a descriptor that systemd closes once it has read everything sent before, see sd_notify_barrier(3).
async fn barrier(manager: &OsStr) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    let theirs = theirs.into_std()?.into();
    datagram::send(manager, "BARRIER=1\n", Some(theirs)).await?;
    Ok(ours)
}

/// FDPOLL=0, because the peer is closed sooner or later, and systemd would otherwise remove the descriptor then.
fn store(name: &str) -> String {
    format!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0\n")
}

pub(super) fn remove(name: &str) -> String {
    format!("FDSTOREREMOVE=1\nFDNAME={name}\n")
}
