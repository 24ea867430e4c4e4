//! What systemd holds in its file descriptor store: a record is removed only for one that is there.

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

/// Longest time that systemd is given to say that it has read a record.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// What systemd holds of this service.
///
/// It does not say whether it has kept a descriptor, and keeps none when it has no room (`FileDescriptorStoreMax=`) or is out of
/// descriptors itself. So each record is followed by a second descriptor that systemd closes once it has read what came before it
/// (`BARRIER=1`); if systemd has not kept the record, then nobody holds it any more, and its other end shows that.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    /// The name of the record that is kept for certain.
    held: Option<String>,
    sent: Option<Sent>,
    /// Whether it has been said that a record was not kept.
    warned: bool,
}

/// A record that systemd may have kept.
#[derive(Debug)]
struct Sent {
    name: String,
    writer: OwnedFd,
    barrier: Option<UnixStream>,
}

impl Holdings {
    /// systemd has this record from an earlier process.
    pub(super) fn holds(&mut self, name: String) {
        self.held = Some(name);
    }

    /// Sends a record to be kept, beside the one that is.
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

    /// Waits until systemd has read the record that was sent, for two seconds at most, and returns the name of the one to forget.
    /// Without a record that was sent it waits for ever. Nothing is lost when it is dropped while it waits.
    pub(super) async fn settled(&mut self) -> Option<String> {
        match &mut self.sent {
            Some(sent) => sent.read().await,
            None => pending().await,
        }
        let sent = self.sent.take()?;
        if sent.is_kept() {
            self.warned = false;
            return self.held.replace(sent.name);
        }
        if self.held.is_some() && !mem::replace(&mut self.warned, true) {
            tracing::warn!(
                record = sent.name,
                cure = "see FileDescriptorStoreMax= in systemd.service(5), which is to be 2",
                "systemd has not kept the latest numbers; a restart would show those before"
            );
        }
        None
    }

    /// Whether a record was sent that systemd may have kept or not.
    pub(super) fn is_unsettled(&self) -> bool {
        self.sent.is_some()
    }
}

impl Sent {
    async fn read(&mut self) {
        if let Some(barrier) = &mut self.barrier {
            // Its end, or an error which is one as well. A manager that never closes it does not know of barriers.
            let _ = timeout(SETTLE_TIMEOUT, barrier.read(&mut [0])).await;
        }
    }

    fn is_kept(&self) -> bool {
        let read = recv(&self.writer, &mut [0_u8], RecvFlags::DONTWAIT);
        read.is_err_and(|error| io::Error::from(error).kind() == ErrorKind::WouldBlock)
    }
}

/// A descriptor that systemd closes once it has read what was sent before, see sd_notify_barrier(3).
async fn barrier(manager: &OsStr) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    let theirs = theirs.into_std()?.into();
    datagram::send(manager, "BARRIER=1\n", Some(theirs)).await?;
    Ok(ours)
}

/// The other end is closed sooner or later, which systemd would take for a reason to drop the descriptor: FDPOLL=0 keeps it from looking.
fn store(name: &str) -> String {
    format!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0\n")
}

pub(super) fn remove(name: &str) -> String {
    format!("FDSTOREREMOVE=1\nFDNAME={name}\n")
}
