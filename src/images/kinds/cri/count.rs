//! Counts the images of a list as they arrive.

use scan::Visitor;

use crate::{
    answer::{Contents, Image},
    images::kinds::name::Name,
};

/// The images that have arrived.
#[derive(Debug)]
pub(super) struct Count {
    pub(super) contents: Contents,
    /// Whether a message has begun.
    pub(super) begun: bool,
    size: u64,
    pinned: bool,
    tag: Name,
    digest: Name,
}

impl Count {
    pub(super) const REPO_TAGS: u32 = 2;
    pub(super) const REPO_DIGESTS: u32 = 3;
    const SIZE: u32 = 4;
    const PINNED: u32 = 8;

    pub(super) fn new() -> Self {
        Self {
            contents: Contents::with_tags_and_pins(),
            begun: false,
            size: 0,
            pinned: false,
            tag: Name::default(),
            digest: Name::default(),
        }
    }
}

impl Visitor for Count {
    fn begin_message(&mut self) {
        self.begun = true;
    }

    fn integer(&mut self, field: u32, value: u64) {
        match field {
            Self::SIZE => self.size = value,
            Self::PINNED => self.pinned = value != 0,
            _ => {}
        }
    }

    fn wanted(&self, field: u32) -> usize {
        match field {
            Self::REPO_TAGS if !self.tag.is_given() => Name::WANTED,
            Self::REPO_DIGESTS if !self.digest.is_given() => Name::WANTED,
            _ => 0,
        }
    }

    fn bytes(&mut self, field: u32, beginning: &[u8]) {
        match field {
            Self::REPO_TAGS => self.tag.give(beginning),
            Self::REPO_DIGESTS => self.digest.give(beginning),
            _ => {}
        }
    }

    fn end(&mut self) {
        let tagged = self.tag.is_given();
        let name = if tagged {
            &mut self.tag
        } else {
            &mut self.digest
        };
        self.contents.add(Image {
            size_bytes: self.size,
            imported_seconds: None,
            tagged: Some(tagged),
            pinned: Some(self.pinned),
            registry: Some(name.registry()),
        });
        self.size = 0;
        self.pinned = false;
        self.tag.forget();
        self.digest.forget();
    }
}
