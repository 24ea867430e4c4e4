//! What has no room left for another byte, because nobody reads it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use lab::poll::eventually;
use lab::service::PATIENCE;
use lab::{TempDir, tempdir};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
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
            .expect("it is there");
        let granted = fcntl_setpipe_size(&pipe, capacity).expect("a pipe can be as small");
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

    /// One that takes some datagrams, before it is full.
    pub(crate) fn with_room() -> Self {
        let folder = folder();
        let path = folder.path().join("socket");
        let socket = UnixDatagram::bind(&path).expect("a fresh folder");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("it takes the option");
        Self {
            path,
            socket,
            _folder: folder,
        }
    }

    /// Until a sender of its own has no room either: what a sender has sent counts as its own, too.
    pub(crate) fn fill(&self) {
        let mut sent = true;
        while sent {
            let sender = UnixDatagram::unbound().expect("a socket can be made");
            sender.set_nonblocking(true).expect("it takes the option");
            sent = false;
            while sender.send_to(FILLING, &self.path).is_ok() {
                sent = true;
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The next datagram that is not filling.
    pub(crate) fn read(&self) -> String {
        loop {
            let mut buffer = [0; 64 * 1024];
            let length = self.socket.recv(&mut buffer).expect("something comes");
            if &buffer[..length] != FILLING {
                return String::from_utf8_lossy(&buffer[..length]).into_owned();
            }
        }
    }
}

fn folder() -> TempDir {
    tempdir().expect("a temporary folder can be made")
}
