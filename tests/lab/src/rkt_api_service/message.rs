//! gRPC framing: a message that is made while it is sent, and never held whole.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};

use super::images::Listing;

/// Whether a message's prefix says that it is compressed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Compressed {
    No = 0,
    Yes = 1,
}

/// One length-prefixed message, as far as it has not been taken yet.
pub(super) struct Message {
    remaining: u64,
    ready: Bytes,
    blocks: Box<dyn Iterator<Item = Bytes> + Send>,
}

impl Message {
    /// # Errors
    ///
    /// When the listing is longer than a gRPC message can be: 4 GiB - 1.
    pub(super) fn frame(compressed: Compressed, mut listing: Listing) -> io::Result<Self> {
        let length = u32::try_from(listing.length).map_err(|_| {
            io::Error::other(format!(
                "{} bytes do not fit into a gRPC message",
                listing.length
            ))
        })?;
        let first = listing.blocks.next().unwrap_or_default();
        let mut ready = BytesMut::with_capacity(5 + first.len());
        ready.put_u8(compressed as u8);
        ready.put_u32(length);
        ready.put(first);
        Ok(Self {
            remaining: listing.length + 5,
            ready: ready.freeze(),
            blocks: listing.blocks,
        })
    }

    /// These bytes as they are, prefix or not.
    pub(super) fn raw(bytes: &'static [u8]) -> Self {
        Self {
            remaining: bytes.len() as u64,
            ready: Bytes::from_static(bytes),
            blocks: Box::new(std::iter::empty()),
        }
    }

    /// Bytes that have not been taken yet, prefix included.
    pub(super) fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The next bytes, at most `limit`; `None` at the end.
    pub(super) fn take(&mut self, limit: u64) -> Option<Bytes> {
        while self.ready.is_empty() {
            self.ready = self.blocks.next()?;
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let taken = self.ready.split_to(limit.min(self.ready.len()));
        self.remaining -= taken.len() as u64;
        Some(taken)
    }
}
