//! The ways in which a response can be malformed.

use thiserror::Error;

/// What is wrong with a response, and where: a byte offset from the beginning of the body.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the answer is malformed at byte {offset}: {fault}")]
pub struct Malformed {
    /// Offset of the faulty frame head, integer, tag or length. A length that exceeds its message counts as a faulty length. If a
    /// field, message or body ends too early, the offset of that end.
    pub offset: u64,
    /// The kind of fault.
    pub fault: Fault,
}

impl Malformed {
    pub(crate) fn offset_by(self, bytes: u64) -> Self {
        let offset = self.offset + bytes;
        Self { offset, ..self }
    }
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// The compressed flag is set, although no compression was offered.
    #[error("the message is compressed, though no compression was offered")]
    Compressed,
    /// The compressed flag is neither 0 nor 1.
    #[error("the frame begins with {0}, which is not a compressed flag")]
    Flag(u8),
    /// A varint of more than 64 bits.
    #[error("an integer has more than 64 bits")]
    Integer,
    /// A tag with a field number of 0, or above what protobuf allows.
    #[error("{0} is not a field tag")]
    Tag(u64),
    /// A wire type that does not exist, or a deprecated group.
    #[error("field {field} has wire type {wire_type}, which is not supported")]
    WireType {
        /// The field's number.
        field: u32,
        /// 3, 4, 6 or 7.
        wire_type: u8,
    },
    /// A field that claims more bytes than are left in its message.
    #[error("field {field} runs past the end of its message")]
    Overrun {
        /// The field's number.
        field: u32,
    },
    /// A message that ends in the middle of a field.
    #[error("a message ends in the middle of a field")]
    Split,
    /// A body that ends in the middle of a message.
    #[error("the answer ends in the middle of a message")]
    Unfinished,
}
