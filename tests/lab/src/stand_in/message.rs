//! gRPC framing of messages that are generated while they are sent and never held in memory as a whole.

use bytes::{BufMut, Bytes, BytesMut};

use super::listing::Listing;

/// The compressed flag in a message's prefix.
#[derive(Clone, Copy, Debug)]
pub(super) enum Compressed {
    No = 0,
    Yes = 1,
}

/// The rest of some length-prefixed messages.
pub(super) struct Messages {
    remaining: u64,
    ready: Bytes,
    blocks: Box<dyn Iterator<Item = Bytes> + Send>,
}

impl Messages {
    /// Frames these messages, one after another.
    /// Panics if one exceeds the maximum length of a gRPC message: 4 GiB - 1.
    pub(super) fn frame(compressed: Compressed, listings: Vec<Listing>) -> Self {
        listings
            .into_iter()
            .fold(Self::raw(b""), |messages, listing| {
                messages.followed_by(compressed, listing)
            })
    }

    /// These bytes without added framing.
    pub(super) fn raw(bytes: &'static [u8]) -> Self {
        Self {
            remaining: bytes.len() as u64,
            ready: Bytes::from_static(bytes),
            blocks: Box::new(std::iter::empty()),
        }
    }

    /// The prefix is in the same block as the beginning of its message.
    fn followed_by(self, compressed: Compressed, mut listing: Listing) -> Self {
        let length = u32::try_from(listing.length).expect("a gRPC message is shorter than 4 GiB");
        let begin = std::iter::once_with(move || {
            let first = listing.blocks.next().unwrap_or_default();
            let mut begin = BytesMut::with_capacity(5 + first.len());
            begin.put_u8(compressed as u8);
            begin.put_u32(length);
            begin.put(first);
            (begin.freeze(), listing.blocks)
        });
        let message = begin.flat_map(|(begin, rest)| std::iter::once(begin).chain(rest));
        Self {
            remaining: self.remaining + 5 + listing.length,
            ready: self.ready,
            blocks: Box::new(self.blocks.chain(message)),
        }
    }

    /// The number of bytes that have not been taken yet, including prefixes.
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
