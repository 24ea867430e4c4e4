//! What of a connection's HTTP/2 frames is needed to say why a call failed: the libraries above do not tell it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use h2::Reason;

use super::MAX_HEADERS;

/// A frame's head: its length in three bytes, type, flags, and the stream's number in four (RFC 9113, section 4.1).
pub(super) const HEAD: usize = 9;

/// How much of a GOAWAY's payload is kept, in bytes: two numbers, and the beginning of what is said.
const GOAWAY_KEPT: usize = 8 + 120;

/// What the other end has sent so far. Copies share it.
#[derive(Clone, Debug, Default)]
pub(in crate::images::grpc) struct Seen(Arc<Mutex<Facts>>);

#[derive(Debug, Default)]
struct Facts {
    longest_headers: usize,
    goaway: Option<Goaway>,
}

/// Why the other end closes the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::images::grpc) struct Goaway {
    reason: Reason,
    /// The beginning of its debug data; often empty.
    words: Vec<u8>,
}

impl fmt::Display for Goaway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GOAWAY with {:?}", self.reason)?;
        if !self.words.is_empty() {
            write!(f, ", \"{}\"", self.words.escape_ascii())?;
        }
        Ok(())
    }
}

impl Seen {
    /// Whether headers or trailers can have been longer than what is read of them. They were compressed: the shortest codes
    /// of HPACK have five bits in place of eight (RFC 7541, appendix B).
    pub(in crate::images::grpc) fn has_long_headers(&self) -> bool {
        self.facts().longest_headers >= MAX_HEADERS as usize / 8 * 5
    }

    /// The last GOAWAY.
    pub(in crate::images::grpc) fn goaway(&self) -> Option<Goaway> {
        self.facts().goaway.clone()
    }

    /// Facts are there whole or not at all, also after a panic.
    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows the frames as their bytes arrive.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: Vec<u8>,
    /// Bytes left of the payload.
    left: usize,
    /// Length of the headers that are being read, up to here.
    headers: usize,
    /// The GOAWAY that is being read.
    goaway: Option<Vec<u8>>,
    seen: Seen,
}

impl Frames {
    pub(super) fn seen(&self) -> Seen {
        self.seen.clone()
    }

    /// The next bytes, cut anywhere.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let (payload, rest) = bytes.split_at(self.left.min(bytes.len()));
                bytes = rest;
                self.payload(payload);
            } else {
                let missing = HEAD - self.head.len();
                let (head, rest) = bytes.split_at(missing.min(bytes.len()));
                bytes = rest;
                self.head.extend_from_slice(head);
                self.begin_if_complete();
            }
        }
    }

    fn begin_if_complete(&mut self) {
        const HEADERS: u8 = 1;
        const GOAWAY: u8 = 7;
        const CONTINUATION: u8 = 9;
        let [high, middle, low, kind, ..] = self.head[..] else {
            return;
        };
        if self.head.len() < HEAD {
            return;
        }
        self.head.clear();
        self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        match kind {
            HEADERS => self.headers = self.left,
            CONTINUATION => self.headers += self.left,
            GOAWAY => self.goaway = Some(Vec::new()),
            _ => return,
        }
        let mut facts = self.seen.facts();
        facts.longest_headers = facts.longest_headers.max(self.headers);
    }

    fn payload(&mut self, payload: &[u8]) {
        self.left -= payload.len();
        let Some(mut goaway) = self.goaway.take() else {
            return;
        };
        let room = GOAWAY_KEPT - goaway.len();
        goaway.extend_from_slice(&payload[..payload.len().min(room)]);
        if self.left > 0 {
            self.goaway = Some(goaway);
            return;
        }
        // The last stream's number, then the code.
        if let [_, _, _, _, a, b, c, d, words @ ..] = &goaway[..] {
            self.seen.facts().goaway = Some(Goaway {
                reason: u32::from_be_bytes([*a, *b, *c, *d]).into(),
                words: words.to_vec(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Frames, Goaway};

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        let head = [length[1], length[2], length[3], kind, 0, 0, 0, 0, 1];
        [&head, payload].concat()
    }

    /// What is seen of these frames, which must not depend on where they are cut.
    fn seen(frames: &[Vec<u8>]) -> (usize, Option<Goaway>) {
        let bytes = frames.concat();
        let in_pieces_of = |length| {
            let mut frames = Frames::default();
            for piece in bytes.chunks(length) {
                frames.follow(piece);
            }
            let longest = frames.seen.facts().longest_headers;
            (longest, frames.seen().goaway())
        };
        let whole = in_pieces_of(bytes.len());
        for length in [1, 2, 7, 9, 10] {
            assert_eq!(in_pieces_of(length), whole, "in pieces of {length}");
        }
        whole
    }

    #[test]
    fn headers_are_as_long_as_their_frames_together() {
        let frames = [
            frame(4, b""),
            frame(1, &[9; 100]),
            frame(0, &[1; 5_000]),
            frame(1, &[9; 200]),
            frame(9, &[9; 300]),
            frame(9, &[9; 1]),
            frame(1, &[9; 400]),
        ];
        assert_eq!(seen(&frames), (501, None));
    }

    #[test]
    fn of_a_goaway_its_code_and_the_beginning_of_its_words_are_kept() {
        let goaway = |words: &[u8]| frame(7, &[&[0, 0, 0, 0, 0, 0, 0, 0xb], words].concat());
        let told = |words: &[u8]| {
            Some(Goaway {
                reason: h2::Reason::ENHANCE_YOUR_CALM,
                words: words.to_vec(),
            })
        };
        assert_eq!(seen(&[goaway(b"")]).1, told(b""));
        assert_eq!(seen(&[goaway(b"pings"), frame(0, b"x")]).1, told(b"pings"));
        assert_eq!(seen(&[goaway(&[b'x'; 9_000])]).1, told(&[b'x'; 120]));
        assert_eq!(seen(&[frame(7, b"short")]).1, None);
    }
}
