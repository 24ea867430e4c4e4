//! What this process can see of its host, for errors: files only, read when they are needed.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

/// The file system as this process sees it.
#[derive(Clone, Debug)]
pub(super) struct Host {
    root: PathBuf,
}

/// Owner and permissions of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) user: u32,
    pub(super) group: u32,
    /// Permission bits, as in chmod(1).
    pub(super) mode: u32,
}

impl Host {
    /// The file system below `root`.
    pub(super) fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Whether this is the root directory of the unit: it has the journal's socket, and no shell. A host has both, and a container
    /// without a shell has no journal.
    pub(super) fn is_sandbox(&self) -> bool {
        !self.inside("/bin/sh").exists() && self.inside("/run/systemd/journal").is_dir()
    }

    /// Whether a socket would be visible if it existed: the sandbox shows its directory, or all of the host's `/run`, recognizable
    /// by the unit's root directory in it.
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

    /// Owner and permissions of a file; `None` if they cannot be read.
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

    fn inside(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}
