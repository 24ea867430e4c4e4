//! Sends a datagram to the manager's socket.

use std::{
    ffi::OsStr,
    io::{self, ErrorKind, IoSlice},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixDatagram,
    },
    time::Duration,
};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::Interest;

/// Sends `text`, with a descriptor if there is one. While the socket is full, the task waits, but not its thread.
pub(super) async fn send(manager: &OsStr, text: &str, fd: Option<OwnedFd>) -> io::Result<()> {
    let socket = connected(manager)?;
    socket.set_nonblocking(true)?;
    let fd = fd.as_ref().map(AsFd::as_fd);
    match send_by(&socket, text, fd) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            let socket = tokio::net::UnixDatagram::from_std(socket)?;
            socket
                .async_io(Interest::WRITABLE, || send_by(&socket, text, fd))
                .await
        }
        done => done,
    }
}

/// Sends `text`. While the socket is full, the thread waits, but for no longer than `limit`.
pub(super) fn send_within(limit: Duration, manager: &OsStr, text: &str) -> io::Result<()> {
    let socket = connected(manager)?;
    socket.set_write_timeout(Some(limit))?;
    send_by(&socket, text, None)
}

fn connected(manager: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(manager)?;
    Ok(socket)
}

fn send_by(socket: impl AsFd, text: &str, fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if let Some(fd) = &fd {
        control.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(fd)));
    }
    let text = [IoSlice::new(text.as_bytes())];
    sendmsg(socket, &text, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}
