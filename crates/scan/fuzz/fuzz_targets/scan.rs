//! With arbitrary bytes the scanner never panics, its results do not depend on how the bytes are split, and it agrees with prost.
//!
//! Layout of an input: a byte for the kind (odd: the rest is the whole body; even: the rest is one message), a byte for the
//! number of piece lengths, the piece lengths, which are used in turn, and the rest.
#![no_main]

mod prost_reader;
mod recorder;

use libfuzzer_sys::{Corpus, fuzz_target};
use scan::Fault;

use recorder::Reading;

/// Upper bound, exclusive, of the number of piece lengths.
const MAX_LENGTHS: usize = 16;

fuzz_target!(|input: &[u8]| -> Corpus {
    let [kind, count, rest @ ..] = input else {
        return Corpus::Reject;
    };
    let Some((lengths, rest)) = rest.split_at_checked(usize::from(*count) % MAX_LENGTHS) else {
        return Corpus::Reject;
    };
    if kind % 2 == 1 {
        scan_in_pieces(rest, lengths);
    } else {
        let reading = scan_in_pieces(&framed(rest), lengths);
        compare_with_prost(rest, &reading);
    }
    Corpus::Keep
});

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("libFuzzer's inputs are small");
    [&[0], &length.to_be_bytes()[..], message].concat()
}

/// Scans the body whole and in pieces, and asserts that the results are equal.
fn scan_in_pieces(body: &[u8], lengths: &[u8]) -> Reading {
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

/// Two differences are expected: prost skips groups, which the scanner refuses, and refuses a known field with a wrong wire type,
/// which the scanner skips.
fn compare_with_prost(message: &[u8], reading: &Reading) {
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
