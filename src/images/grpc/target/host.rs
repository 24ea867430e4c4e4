//! What this process sees of its host, when a store cannot be reached: files only, looked at when they are needed.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

/// The container runtimes, the units that run them, and where those listen.
const RUNTIMES: [(&str, &str); 6] = [
    ("containerd", "/run/containerd/containerd.sock"),
    ("k3s", "/run/k3s/containerd/containerd.sock"),
    ("crio", "/run/crio/crio.sock"),
    ("containerd", "/var/run/containerd/containerd.sock"),
    ("k3s", "/var/run/k3s/containerd/containerd.sock"),
    ("crio", "/var/run/crio/crio.sock"),
];

/// The file system as this process sees it.
#[derive(Clone, Debug)]
pub(super) struct Host {
    root: PathBuf,
}

/// Who may use a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) user: u32,
    pub(super) group: u32,
    /// Its permissions, as chmod(1) takes them.
    pub(super) mode: u32,
}

impl Host {
    /// As it is seen from `root`.
    pub(super) fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Whether this is the root directory of the unit: it has the journal's socket, and no shell. A host has both, and a container
    /// without a shell has no journal.
    pub(super) fn is_sandbox(&self) -> bool {
        !self.inside("/bin/sh").exists() && self.inside("/run/systemd/journal").is_dir()
    }

    /// Whether a socket would be seen if its runtime had made it: its directory is there, or all of the host's `/run`, in which
    /// the unit's own root directory is.
    pub(super) fn would_show(&self, socket: &str) -> bool {
        let socket = Path::new(socket);
        let mut run = ["/run", "/var/run"].iter();
        let is_there = socket
            .parent()
            .is_some_and(|directory| self.inside(directory).is_dir());
        is_there
            || run.any(|run| socket.starts_with(run))
                && self.inside("/run/exp-rkt-grpc/root").is_dir()
    }

    /// Who may use a file; `None` when not even that can be seen.
    pub(super) fn owner(&self, path: &str) -> Option<Owner> {
        let metadata = fs::metadata(self.inside(path)).ok()?;
        Some(Owner {
            user: metadata.uid(),
            group: metadata.gid(),
            mode: metadata.mode() & 0o777,
        })
    }

    pub(super) fn is_socket(&self, path: &str) -> bool {
        fs::metadata(self.inside(path)).is_ok_and(|metadata| metadata.file_type().is_socket())
    }

    /// The socket of a container runtime that is there.
    pub(super) fn runtime_socket(&self) -> Option<&'static str> {
        let mut sockets = RUNTIMES.iter().map(|(_, socket)| *socket);
        sockets.find(|socket| self.is_socket(socket))
    }

    fn inside(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// The unit that runs the runtime of a socket, where the socket is at its usual place.
pub(super) fn unit_of(socket: &str) -> Option<&'static str> {
    let mut runtimes = RUNTIMES.iter();
    runtimes
        .find(|(_, usual)| *usual == socket)
        .map(|(unit, _)| *unit)
}
