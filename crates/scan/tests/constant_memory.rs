//! The scanner's memory does not depend on its input. This file has a single test, so that no other test allocates meanwhile.

use std::iter::{once, repeat_n};

use peak_alloc::PeakAlloc;
use scan::{Scanner, Visitor};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Enough for the bytes that a visitor wants of a field, and for nothing else.
const FEW_BYTES: usize = 1024;

const CHUNK: usize = 64 * 1024;

/// Like the visitor for CRI, wants the beginning of fields 2 and 3.
#[derive(Default)]
struct Names {
    images: u64,
    longest: usize,
}

impl Visitor for Names {
    fn integer(&mut self, _field: u32, _value: u64) {}

    fn wanted(&self, field: u32) -> usize {
        if matches!(field, 2 | 3) { 264 } else { 0 }
    }

    fn bytes(&mut self, _field: u32, beginning: &[u8]) {
        self.longest = self.longest.max(beginning.len());
    }

    fn end(&mut self) {
        self.images += 1;
    }
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// Tag and length of a field of wire type LEN.
fn length_of(field: usize, length: usize) -> Vec<u8> {
    [varint(field << 3 | 2), varint(length)].concat()
}

/// Scans one message that consists of `head` and `times` × `unit`; returns the scanner's peak allocation, and the visitor.
fn memory_for(head: &[u8], unit: &[u8], times: usize) -> (usize, Names) {
    let per_chunk = (CHUNK / unit.len()).max(1);
    let chunk = unit.repeat(per_chunk);
    let rest = unit.repeat(times % per_chunk);
    let length = u32::try_from(head.len() + unit.len() * times).unwrap();
    let frame = [&[0], &length.to_be_bytes()[..], head].concat();

    let mut names = Names::default();
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let mut scanner = Scanner::new(&mut names);
    for bytes in once(&frame)
        .chain(repeat_n(&chunk, times / per_chunk))
        .chain(once(&rest))
    {
        // Not a multiple of the unit, so that some boundaries are inside tags and lengths.
        for piece in bytes.chunks(4097) {
            scanner.feed(piece).unwrap();
        }
    }
    assert_eq!(scanner.finish().unwrap().messages, 1);
    (ALLOCATOR.peak_usage().saturating_sub(before), names)
}

#[test]
fn memory_depends_neither_on_the_number_nor_on_the_size_of_what_passes() {
    const MIB: usize = 1024 * 1024;

    let manifest = length_of(6, 100 * MIB);
    let head = [length_of(1, manifest.len() + 100 * MIB), manifest].concat();
    let (memory, names) = memory_for(&head, &[b'x'; 64], 100 * MIB / 64);
    assert_eq!(names.images, 1);
    assert!(memory <= FEW_BYTES, "a skipped field of 100 MiB: {memory}");

    let tag = [length_of(2, 60), vec![b'x'; 60]].concat();
    let head = length_of(1, tag.len() * 1_000_000);
    let (memory, names) = memory_for(&head, &tag, 1_000_000);
    assert_eq!((names.images, names.longest), (1, 60));
    assert!(memory <= FEW_BYTES, "a million tags: {memory}");

    let tag = length_of(2, 100 * MIB);
    let head = [length_of(1, tag.len() + 100 * MIB), tag].concat();
    let (memory, names) = memory_for(&head, &[b'x'; 64], 100 * MIB / 64);
    assert_eq!((names.images, names.longest), (1, 264));
    assert!(memory <= FEW_BYTES, "a tag of 100 MiB: {memory}");

    let image = [length_of(1, 62), length_of(2, 60), vec![b'x'; 60]].concat();
    let (memory, names) = memory_for(&[], &image, 1_000_000);
    assert_eq!((names.images, names.longest), (1_000_000, 60));
    assert!(memory <= FEW_BYTES, "a million images: {memory}");
}
