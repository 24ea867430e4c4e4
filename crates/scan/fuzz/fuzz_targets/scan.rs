//! Arbitrary bytes: the scanner never panics, reports the same however they are split, and agrees with prost.
//!
//! An input is a byte for the kind (odd: the rest is the whole body; even: one message), a byte for the number of piece lengths,
//! those lengths, which are used in turn, and the rest.
#![no_main]

mod prost_reader;
mod recorder;

use libfuzzer_sys::{Corpus, fuzz_target};
use scan::Fault;

use recorder::Reading;

/// The number of piece lengths is below this.
const MOST_LENGTHS: usize = 16;

fuzz_target!(|input: &[u8]| -> Corpus {
    let [kind, count, rest @ ..] = input else {
        return Corpus::Reject;
    };
    let Some((lengths, rest)) = rest.split_at_checked(usize::from(*count) % MOST_LENGTHS) else {
        return Corpus::Reject;
    };
    if kind % 2 == 1 {
        cut_does_not_matter(rest, lengths);
    } else {
        let reading = cut_does_not_matter(&framed(rest), lengths);
        agrees_with_prost(rest, &reading);
    }
    Corpus::Keep
});

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("libFuzzer's inputs are small");
    [&[0], &length.to_be_bytes()[..], message].concat()
}

fn cut_does_not_matter(body: &[u8], lengths: &[u8]) -> Reading {
    let whole = Reading::of([body]);
    assert_eq!(Reading::of(body.chunks(1)), whole, "byte by byte");
    let pieces = Pieces {
        body,
        lengths: lengths.iter().cycle(),
    };
    assert_eq!(Reading::of(pieces), whole, "cut into {lengths:?}");
    whole
}

struct Pieces<'a, L> {
    body: &'a [u8],
    lengths: L,
}

impl<'a, 'l, L: Iterator<Item = &'l u8>> Iterator for Pieces<'a, L> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.body.is_empty() {
            return None;
        }
        let length = self
            .lengths
            .next()
            .map_or(self.body.len(), |&length| usize::from(length).max(1));
        let (piece, rest) = self.body.split_at(length.min(self.body.len()));
        self.body = rest;
        Some(piece)
    }
}

/// They may differ in two things: prost skips groups, which the scanner refuses, and refuses a known field of another wire type,
/// which the scanner skips.
fn agrees_with_prost(message: &[u8], reading: &Reading) {
    match (prost_reader::images(message), &reading.end) {
        (Ok(images), Ok(received)) => {
            assert_eq!(received.messages, 1);
            assert_eq!(received.bytes, message.len() as u64 + 5);
            assert_eq!(reading.images(), images);
        }
        (Err(error), Ok(_)) => assert!(error.contains("invalid wire type"), "{error}"),
        (Ok(_), Err(error)) => assert!(
            matches!(error.fault, Fault::WireType { wire_type: 3, .. }),
            "{error}"
        ),
        (Err(_), Err(_)) => {}
    }
}
