//! A streaming parser for a gRPC response that holds one long list. It runs in constant memory.
//!
//! # The problem
//!
//! A container runtime lists its images in one protobuf message, `{ repeated Image images = 1; … }`, which can be larger than
//! the host's memory. gRPC clients buffer the whole message and then decode it, which takes several times its size, and most of them
//! refuse messages above 4 MiB. A program that only counts and sums needs neither the buffer nor the limit.
//!
//! A [`Scanner`] takes the response body in the pieces that the connection delivers, and calls a [`Visitor`] for each element of
//! field 1: for each integer, for the beginning of each byte field that the visitor wants, and at the end of the element.
//!
//! # Use
//!
//! ```
//! use scan::{Malformed, Scanner, Visitor};
//!
//! /// Images, and their size in bytes: `message Image { string id = 1; uint64 size = 4; }`.
//! #[derive(Default)]
//! struct Count {
//!     images: u64,
//!     bytes: u64,
//! }
//!
//! impl Visitor for Count {
//!     fn integer(&mut self, field: u32, value: u64) {
//!         if field == 4 {
//!             self.bytes = self.bytes.saturating_add(value);
//!         }
//!     }
//!
//!     fn end(&mut self) {
//!         self.images += 1;
//!     }
//! }
//!
//! // A frame head, then two images: "a" of 300 bytes, and "b" of 5.
//! let body = b"\0\0\0\0\x0f\x0a\x06\x0a\x01a\x20\xac\x02\x0a\x05\x0a\x01b\x20\x05";
//!
//! let mut count = Count::default();
//! let mut scanner = Scanner::new(&mut count);
//! for piece in body.chunks(4) {
//!     scanner.feed(piece)?;
//! }
//! let received = scanner.finish()?;
//!
//! assert_eq!(received.messages, 1);
//! assert_eq!((count.images, count.bytes), (2, 305));
//! # Ok::<(), Malformed>(())
//! ```
//!
//! # Guarantees
//!
//! * Memory use depends neither on the number nor on the size of the elements: the scanner buffers at most 20 bytes of a field's
//!   tag and length, or the bytes that the visitor wants of one field (`tests/constant_memory.rs`).
//! * The calls of the visitor and the result do not depend on where the body is cut into pieces.
//! * Any bytes are parsed or refused, without a panic. [`Malformed`] reports the fault and its offset (`tests/scanner.rs`).
//! * The scanner agrees with prost: property tests of the service's visitors and the fuzz target (`make fuzz`) compare them.
//!
//! # Limits
//!
//! * Only field 1 of a message is read as a list. A body can hold several messages, like that of a streaming method.
//! * A visitor sees the fields of an element, but not those of nested messages; [`read_fields`] reads what it wants of one. Fields of
//!   wire types I32 and I64 are skipped.
//! * The visitor decides what a repeated or unexpected field means. Text is not checked for valid UTF-8.
//! * Compressed messages are refused: servers send them only to clients that accept them. Groups, which protobuf has deprecated,
//!   are refused, too.
//!
//! # Sources
//!
//! * gRPC over HTTP/2, "Length-Prefixed-Message": <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>
//! * The protobuf encoding: <https://protobuf.dev/programming-guides/encoding/>

mod fault;
mod field;
mod scanner;

pub use fault::{Fault, Malformed};
pub use field::{Value, read_fields};
pub use scanner::{Received, Scanner};

/// Receives the elements of field 1.
pub trait Visitor {
    /// The current element has this integer in this field (wire type VARINT).
    fn integer(&mut self, field: u32, value: u64);

    /// The maximum number of bytes of this field (wire type LEN) to pass to [`Self::bytes`]; 0, the default, skips the field.
    fn wanted(&self, _field: u32) -> usize {
        0
    }

    /// The current element has this field. `beginning` is its content, cut to the wanted length.
    fn bytes(&mut self, _field: u32, _beginning: &[u8]) {}

    /// The current element is complete.
    fn end(&mut self);
}
