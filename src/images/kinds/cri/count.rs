//! Counts the images of a list as they arrive.

use scan::Visitor;

use crate::{
    answer::{Contents, Image},
    images::kinds::{
        name::Name,
        references::{self, References},
    },
};

/// The images that have arrived.
#[derive(Debug)]
pub(super) struct Count<'a> {
    pub(super) contents: Contents,
    /// The images that containers refer to, if they are known.
    references: Option<&'a References>,
    used: bool,
    size: u64,
    pinned: bool,
    tag: Name,
    digest: Name,
}

impl<'a> Count<'a> {
    const ID: u32 = 1;
    pub(super) const REPO_TAGS: u32 = 2;
    pub(super) const REPO_DIGESTS: u32 = 3;
    const SIZE: u32 = 4;
    const PINNED: u32 = 8;

    pub(super) fn new(references: Option<&'a References>) -> Self {
        Self {
            contents: Contents {
                unused: references.map(|_| 0),
                unused_bytes: references.map(|_| 0),
                ..Contents::with_tags_and_pins()
            },
            references,
            used: false,
            size: 0,
            pinned: false,
            tag: Name::default(),
            digest: Name::default(),
        }
    }

    /// Whether a reference of a container may be this field of an unused image: its id or, in older runtimes, one of its digests.
    fn may_be_used_as(&self, field: u32) -> bool {
        let Some(references) = self.references.filter(|_| !self.used) else {
            return false;
        };
        match field {
            Self::ID => !references.is_empty(),
            Self::REPO_DIGESTS => references.has_digests(),
            _ => false,
        }
    }
}

impl Visitor for Count<'_> {
    fn integer(&mut self, field: u32, value: u64) {
        match field {
            Self::SIZE => self.size = value,
            Self::PINNED => self.pinned = value != 0,
            _ => {}
        }
    }

    fn wanted(&self, field: u32) -> usize {
        match field {
            Self::ID if self.may_be_used_as(field) => references::WANTED,
            Self::REPO_DIGESTS if self.may_be_used_as(field) => references::WANTED,
            Self::REPO_TAGS if !self.tag.is_given() => Name::WANTED,
            Self::REPO_DIGESTS if !self.digest.is_given() => Name::WANTED,
            _ => 0,
        }
    }

    fn bytes(&mut self, field: u32, beginning: &[u8]) {
        if self.may_be_used_as(field) {
            self.used |= self
                .references
                .is_some_and(|known| known.contains(beginning));
        }
        let beginning = &beginning[..beginning.len().min(Name::WANTED)];
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
            used: self.references.map(|_| self.used),
            registry: Some(name.registry()),
        });
        self.size = 0;
        self.pinned = false;
        self.used = false;
        self.tag.forget();
        self.digest.forget();
    }
}
