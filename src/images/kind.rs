//! A kind of store: the protocol that it speaks.

use std::fmt;

use async_trait::async_trait;

use super::grpc::Calls;
use crate::answer::{Contents, Filesystem, QueryError, Runtime};

/// A kind of store: its name and defaults, and how to create a store of it.
#[derive(Debug)]
pub(crate) struct StoreKind {
    /// KIND in `--store KIND+URL`.
    pub(crate) name: &'static str,
    /// The runtimes that speak this protocol, for help texts.
    pub(crate) runtimes: &'static str,
    /// The TCP port where none is given; `None` for stores that listen on Unix sockets.
    pub(crate) default_port: Option<u16>,
    /// The usual Unix sockets of these runtimes, each with its unit, for errors; the first is suggested if none exists.
    pub(in crate::images) sockets: &'static [(&'static str, &'static str)],
    /// What the URL of a store must have besides the address.
    pub(crate) parameter: Option<&'static Parameter>,
    /// Creates a store of this kind, with the value of its parameter.
    pub(in crate::images) store: fn(Option<&str>) -> Box<dyn Store>,
}

/// A parameter of a store, at the end of its URL: `?KEY=VALUE`.
#[derive(Debug)]
pub(crate) struct Parameter {
    /// Its name.
    pub(crate) key: &'static str,
    /// A value, for errors.
    pub(crate) value: &'static str,
    /// What is expected, for errors.
    pub(crate) expected: &'static str,
    /// Says why a value is not valid.
    pub(crate) check: fn(&str) -> Result<(), String>,
}

impl Parameter {
    /// As in `?namespace=moby`.
    pub(crate) fn example(&self) -> String {
        format!("?{}={}", self.key, self.value)
    }
}

/// One store of a kind, with the state that its protocol keeps between queries.
#[async_trait(?Send)]
pub(in crate::images) trait Store: fmt::Debug {
    /// Lists the images.
    async fn list(&mut self, calls: &Calls<'_>) -> Result<Listed, QueryError>;

    /// Makes the side calls. A failed one is logged, and its result is missing.
    async fn describe(&mut self, calls: &Calls<'_>) -> Description;
}

/// The results of the side calls.
#[derive(Debug)]
pub(in crate::images) struct Description {
    /// Name and versions of the runtime.
    pub(in crate::images) runtime: Option<Runtime>,
    /// The file systems that hold its images; also `None` for kinds that do not report them.
    pub(in crate::images) filesystems: Option<Vec<Filesystem>>,
    /// Why the numbers may mislead.
    pub(in crate::images) warning: Option<String>,
}

/// A complete list.
#[derive(Debug)]
pub(in crate::images) struct Listed {
    pub(in crate::images) contents: Contents,
    /// Its length on the wire in bytes, gRPC's framing included.
    pub(in crate::images) bytes: u64,
    /// Why numbers are missing.
    pub(in crate::images) warning: Option<String>,
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Names of kinds are unique.
impl PartialEq for StoreKind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for StoreKind {}
