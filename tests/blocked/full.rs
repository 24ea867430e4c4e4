//! Pipes and sockets that are full because nothing reads them.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use lab::poll::eventually;
use lab::service::PATIENCE;
use lab::{TempDir, tempdir};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::pipe::fcntl_setpipe_size;

/// A full named pipe.
pub(crate) struct FullPipe {
    path: PathBuf,
    pipe: File,
    _folder: TempDir,
}

/// A full datagram socket.
pub(crate) struct FullSocket {
    path: PathBuf,
    socket: UnixDatagram,
    /// Descriptors that came with `FDSTORE=1`.
    kept: RefCell<Vec<OwnedFd>>,
    _folder: TempDir,
}

/// What the sockets are filled with.
const FILLING: &[u8] = b"X_FILL=1";

impl FullPipe {
    pub(crate) fn of(capacity: usize) -> Self {
        let folder = folder();
        let path = folder.path().join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a fresh folder");
        let pipe = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(&path)
            .expect("the pipe exists");
        let granted = fcntl_setpipe_size(&pipe, capacity).expect("the kernel allows this size");
        assert_eq!(granted, capacity);
        while (&pipe).write(&[b'\n'; 4096]).is_ok() {}
        Self {
            path,
            pipe,
            _folder: folder,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads until the text is complete; returns it without the filling.
    pub(crate) fn read_until(&self, complete: impl Fn(&str) -> bool) -> String {
        let mut read = Vec::new();
        eventually("the lines", || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = (&self.pipe).read(&mut buffer) {
                read.extend_from_slice(&buffer[..length]);
            }
            let text = String::from_utf8_lossy(&read);
            complete(&text).then(|| text.trim_start().to_owned())
        })
    }
}

impl FullSocket {
    pub(crate) fn bind() -> Self {
        let socket = Self::with_room();
        socket.fill();
        socket
    }

    /// A socket that still has room for some datagrams.
    pub(crate) fn with_room() -> Self {
        let folder = folder();
        let path = folder.path().join("socket");
        let socket = UnixDatagram::bind(&path).expect("a fresh folder");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("the socket has this option");
        Self {
            path,
            socket,
            kept: RefCell::default(),
            _folder: folder,
        }
    }

    /// Fills the socket until a new sender cannot send either: each sender has a limit besides the receiver's queue.
    pub(crate) fn fill(&self) {
        let mut sent = true;
        while sent {
            let sender = UnixDatagram::unbound().expect("a socket can be made");
            sender
                .set_nonblocking(true)
                .expect("the socket has this option");
            sent = false;
            while sender.send_to(FILLING, &self.path).is_ok() {
                sent = true;
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The next datagram that is neither filling nor a barrier. As systemd does, it closes the descriptors that come with barriers
    /// and keeps those that come with `FDSTORE=1`.
    pub(crate) fn read(&self) -> String {
        loop {
            let (text, fds) = self.receive();
            if text.contains("FDSTORE=1") {
                self.kept.borrow_mut().extend(fds);
            }
            if text.as_bytes() != FILLING && text != "BARRIER=1\n" {
                return text;
            }
        }
    }

    fn receive(&self) -> (String, Vec<OwnedFd>) {
        let mut buffer = [0; 64 * 1024];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(&self.socket, &mut parts, &mut control, flags);
        let length = received.expect("a datagram arrives").bytes;
        let fds = control.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
            _ => Vec::new(),
        });
        let fds = fds.collect();
        (String::from_utf8_lossy(&buffer[..length]).into_owned(), fds)
    }
}

fn folder() -> TempDir {
    tempdir().expect("a temporary folder can be made")
}
