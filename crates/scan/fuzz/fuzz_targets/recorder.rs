//! A visitor that records every call.

use scan::{Malformed, Received, Scanner, Visitor};

use crate::prost_reader::Image;

/// The wanted bytes of each name; many names are longer.
pub(crate) const WANTED: usize = 6;

/// The recorded calls, and the scanner's result.
#[derive(Debug, PartialEq)]
pub(crate) struct Reading {
    calls: Calls,
    pub(crate) end: Result<Received, Malformed>,
}

#[derive(Debug, Default, PartialEq)]
struct Calls(Vec<Call>);

#[derive(Debug, PartialEq)]
enum Call {
    Integer(u32, u64),
    Bytes(u32, Vec<u8>),
    End,
}

impl Visitor for Calls {
    fn integer(&mut self, field: u32, value: u64) {
        self.0.push(Call::Integer(field, value));
    }

    fn wanted(&self, field: u32) -> usize {
        if matches!(field, 2 | 3) { WANTED } else { 0 }
    }

    fn bytes(&mut self, field: u32, beginning: &[u8]) {
        self.0.push(Call::Bytes(field, beginning.to_vec()));
    }

    fn end(&mut self) {
        self.0.push(Call::End);
    }
}

impl Reading {
    pub(crate) fn of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut calls = Calls::default();
        let mut scanner = Scanner::new(&mut calls);
        let fed = pieces
            .into_iter()
            .try_for_each(|piece| scanner.feed(piece));
        let end = fed.and_then(|()| scanner.finish());
        Self { calls, end }
    }

    pub(crate) fn images(&self) -> Vec<Image> {
        let mut images = Vec::new();
        let mut image = Image::default();
        for call in &self.calls.0 {
            match call {
                Call::Integer(4, value) => image.size = *value,
                Call::Integer(5, value) => image.import_timestamp = value.cast_signed(),
                Call::Integer(7, value) => image.signed_size = value.cast_signed(),
                Call::Integer(8, value) => image.pinned = *value != 0,
                Call::Bytes(2, name) => image.tags.push(name.clone()),
                Call::Bytes(3, name) => image.digests.push(name.clone()),
                Call::Integer(..) | Call::Bytes(..) => {}
                Call::End => images.push(std::mem::take(&mut image)),
            }
        }
        images
    }
}
