//! The common vocabulary: the answers and errors of stores, independent of protocols.

use std::time::Duration;

mod code;
mod contents;
mod error;
mod registries;

pub(crate) use code::Code;
pub(crate) use contents::{Contents, Image};
pub(crate) use error::QueryError;
pub(crate) use registries::{Registries, Registry};

/// What a store answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Its images, added up.
    pub(crate) contents: Contents,
    /// Length of the list on the wire in bytes, gRPC's framing included.
    pub(crate) response_bytes: u64,
    /// From connecting to the last byte of the list.
    pub(crate) duration: Duration,
    /// The runtime; `None` until the store has reported it, and if it never does.
    pub(crate) runtime: Option<Runtime>,
    /// The file systems that hold its images; `None` until the store has reported them, and if it never does.
    pub(crate) filesystems: Option<Vec<Filesystem>>,
    /// Why numbers are missing or may mislead, though the store answered.
    pub(crate) warning: Option<String>,
}

/// The container runtime that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Runtime {
    /// For example `rkt` or `containerd`.
    pub(crate) name: String,
    /// Empty if the runtime does not report it.
    pub(crate) version: String,
    /// Version of the API it serves.
    pub(crate) api_version: String,
}

/// A file system that holds images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filesystem {
    /// Where it is mounted.
    pub(crate) mountpoint: String,
    /// Bytes that images use on it; `None` if the runtime does not report them.
    pub(crate) used_bytes: Option<u64>,
    /// Inodes that images use on it; `None` if the runtime does not report them.
    pub(crate) inodes_used: Option<u64>,
    /// Size of the whole file system; `None` if this process cannot see the mount point.
    pub(crate) size_bytes: Option<u64>,
    /// Bytes on it that are available to unprivileged users; `None` if this process cannot see the mount point.
    pub(crate) avail_bytes: Option<u64>,
}
