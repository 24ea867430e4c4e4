//! A kind of store: the protocol that it speaks.

use std::fmt;

use async_trait::async_trait;

use super::grpc::Calls;
use crate::answer::{Contents, Filesystem, QueryError, Runtime};

/// What configuration, help texts and metrics say of a kind, and how its stores are asked.
#[derive(Debug)]
pub(crate) struct StoreKind {
    /// KIND in `--store KIND+URL`.
    pub(crate) name: &'static str,
    /// What speaks this protocol, for help texts.
    pub(crate) runtimes: &'static str,
    /// The TCP port where none is given; `None` for stores that listen on Unix sockets.
    pub(crate) default_port: Option<u16>,
    /// A store of this kind that was never asked.
    pub(in crate::images) store: fn() -> Box<dyn Store>,
}

/// One store of a kind, with what its protocol has to remember from one query to the next.
#[async_trait(?Send)]
pub(in crate::images) trait Store: fmt::Debug {
    /// Lists the images.
    async fn list(&mut self, calls: &Calls<'_>) -> Result<Listed, QueryError>;

    /// Asks who the runtime is and what its file systems hold. What fails is logged and missing.
    async fn describe(&mut self, calls: &Calls<'_>) -> Description;
}

/// What a store says of itself beside its list.
#[derive(Debug)]
pub(in crate::images) struct Description {
    /// Who answered.
    pub(in crate::images) runtime: Option<Runtime>,
    /// The file systems that hold its images; `None` also for kinds that do not report them.
    pub(in crate::images) filesystems: Option<Vec<Filesystem>>,
}

/// A complete list.
#[derive(Debug)]
pub(in crate::images) struct Listed {
    pub(in crate::images) contents: Contents,
    /// Its length on the wire in bytes, gRPC's framing included.
    pub(in crate::images) bytes: u64,
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// There is one of each name.
impl PartialEq for StoreKind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for StoreKind {}
