//! A visitor that writes down all it is told.

use scan::{Malformed, Received, Scanner, Visitor};

use crate::prost_reader::Image;

/// How much of a name is wanted: less than many have.
pub(crate) const WANTED: usize = 6;

/// What the scanner told, and how it ended.
#[derive(Debug, PartialEq)]
pub(crate) struct Reading {
    facts: Facts,
    pub(crate) end: Result<Received, Malformed>,
}

#[derive(Debug, Default, PartialEq)]
struct Facts(Vec<Fact>);

#[derive(Debug, PartialEq)]
enum Fact {
    Integer(u32, u64),
    Bytes(u32, Vec<u8>),
    End,
}

impl Visitor for Facts {
    fn integer(&mut self, field: u32, value: u64) {
        self.0.push(Fact::Integer(field, value));
    }

    fn wanted(&self, field: u32) -> usize {
        if matches!(field, 2 | 3) { WANTED } else { 0 }
    }

    fn bytes(&mut self, field: u32, beginning: &[u8]) {
        self.0.push(Fact::Bytes(field, beginning.to_vec()));
    }

    fn end(&mut self) {
        self.0.push(Fact::End);
    }
}

impl Reading {
    pub(crate) fn of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut facts = Facts::default();
        let mut scanner = Scanner::new(&mut facts);
        let fed = pieces
            .into_iter()
            .try_for_each(|piece| scanner.feed(piece));
        let end = fed.and_then(|()| scanner.finish());
        Self { facts, end }
    }

    pub(crate) fn images(&self) -> Vec<Image> {
        let mut images = Vec::new();
        let mut image = Image::default();
        for fact in &self.facts.0 {
            match fact {
                Fact::Integer(4, value) => image.size = *value,
                Fact::Integer(5, value) => image.import_timestamp = value.cast_signed(),
                Fact::Integer(7, value) => image.signed_size = value.cast_signed(),
                Fact::Integer(8, value) => image.pinned = *value != 0,
                Fact::Bytes(2, name) => image.tags.push(name.clone()),
                Fact::Bytes(3, name) => image.digests.push(name.clone()),
                Fact::Integer(..) | Fact::Bytes(..) => {}
                Fact::End => images.push(std::mem::take(&mut image)),
            }
        }
        images
    }
}
