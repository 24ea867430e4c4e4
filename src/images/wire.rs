//! The incremental reader of lists.

mod fault;
mod field;
mod scan;

pub use fault::{Fault, Malformed};
pub use scan::{Scanner, Visitor};

/// A whole answer that ended with status OK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the body, gRPC's framing included.
    pub bytes: u64,
    /// Messages in it.
    pub messages: u64,
}
