//! Observes a connection's HTTP/2 frames for facts that explain failed calls: the libraries above do not report them.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use h2::Reason;

use super::MAX_HEADERS;

/// A frame's head: its length in three bytes, type, flags, and the stream's number in four (RFC 9113, section 4.1).
pub(super) const HEAD: usize = 9;

/// How much of a GOAWAY's payload is kept, in bytes: two numbers, and the beginning of the debug data.
const GOAWAY_KEPT: usize = 8 + 120;

/// Facts about what the peer has sent so far. Clones share them.
#[derive(Clone, Debug, Default)]
pub(in crate::images::grpc) struct Observed(Arc<Mutex<Facts>>);

#[derive(Debug, Default)]
struct Facts {
    longest_headers: usize,
    goaway: Option<Goaway>,
}

/// Why the peer closes the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::images::grpc) struct Goaway {
    reason: Reason,
    /// The beginning of its debug data; often empty.
    debug_data: Vec<u8>,
}

impl fmt::Display for Goaway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GOAWAY with {:?}", self.reason)?;
        if !self.debug_data.is_empty() {
            write!(f, ", \"{}\"", self.debug_data.escape_ascii())?;
        }
        Ok(())
    }
}

impl Observed {
    /// Whether headers or trailers may have exceeded [`MAX_HEADERS`]. Only their compressed length is known. HPACK's shortest codes
    /// have five bits instead of eight (RFC 7541, appendix B).
    pub(in crate::images::grpc) fn has_long_headers(&self) -> bool {
        self.facts().longest_headers >= MAX_HEADERS as usize / 8 * 5
    }

    /// The last GOAWAY.
    pub(in crate::images::grpc) fn goaway(&self) -> Option<Goaway> {
        self.facts().goaway.clone()
    }

    /// The facts are consistent even after a panic.
    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Parses the frames as their bytes arrive.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: Vec<u8>,
    /// Bytes left of the payload.
    left: usize,
    /// Length so far of the headers that are being read.
    headers: usize,
    /// The GOAWAY that is being read.
    goaway: Option<Vec<u8>>,
    observed: Observed,
}

impl Frames {
    pub(super) fn observed(&self) -> Observed {
        self.observed.clone()
    }

    /// Takes the next bytes, split anywhere.
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
        let mut facts = self.observed.facts();
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
        if let [_, _, _, _, a, b, c, d, debug_data @ ..] = &goaway[..] {
            self.observed.facts().goaway = Some(Goaway {
                reason: u32::from_be_bytes([*a, *b, *c, *d]).into(),
                debug_data: debug_data.to_vec(),
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

    /// The facts of these frames, which must not depend on where they are split.
    fn facts(frames: &[Vec<u8>]) -> (usize, Option<Goaway>) {
        let bytes = frames.concat();
        let in_pieces_of = |length| {
            let mut frames = Frames::default();
            for piece in bytes.chunks(length) {
                frames.follow(piece);
            }
            let longest = frames.observed.facts().longest_headers;
            (longest, frames.observed().goaway())
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
        assert_eq!(facts(&frames), (501, None));
    }

    #[test]
    fn the_code_and_the_beginning_of_the_debug_data_of_a_goaway_are_kept() {
        let goaway = |data: &[u8]| frame(7, &[&[0, 0, 0, 0, 0, 0, 0, 0xb], data].concat());
        let kept = |data: &[u8]| {
            Some(Goaway {
                reason: h2::Reason::ENHANCE_YOUR_CALM,
                debug_data: data.to_vec(),
            })
        };
        assert_eq!(facts(&[goaway(b"")]).1, kept(b""));
        assert_eq!(facts(&[goaway(b"pings"), frame(0, b"x")]).1, kept(b"pings"));
        assert_eq!(facts(&[goaway(&[b'x'; 9_000])]).1, kept(&[b'x'; 120]));
        assert_eq!(facts(&[frame(7, b"short")]).1, None);
    }
}
