//! Counts the images of a list of names as they arrive: those that have the same target are one image.

use std::fmt;

use scan::{Value, Visitor, read_fields};

use crate::{
    answer::{Contents, Registries, Registry},
    images::kinds::{
        fingerprints::{Fingerprint, Fingerprints, Flag},
        name::Name,
        references::References,
        timestamp,
    },
};

/// An image that has a name with a tag.
const TAGGED: Flag = Flag::new(0);

/// An image that has a name with a registry.
const NAMED: Flag = Flag::new(1);

/// An image that is pinned, or has a name that a container refers to.
const USED: Flag = Flag::new(2);

/// Most images that are counted: what fits in a table of 2^17 places, which takes 1.125 MiB.
pub(super) const MOST: usize = 114_688;

/// The names that have arrived, and their images.
#[derive(Debug)]
pub(super) struct Count<'a> {
    pub(super) contents: Contents,
    /// The names that containers refer to, if they are known.
    references: Option<&'a References>,
    used: bool,
    /// Why the images could not be counted.
    pub(super) uncounted: Option<Uncounted>,
    /// The digests of the images.
    images: Fingerprints,
    /// The digest of the current name's image, once it has arrived.
    target: Option<Target>,
    tagged: bool,
    name: Name,
    created: Option<i64>,
}

/// Why the images of a list could not be counted. Their names could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uncounted {
    /// There are more than [`MOST`].
    TooMany,
    /// A name's target is malformed, or its digest comes after the first [`Count::TARGET_WANTED`] bytes.
    Unreadable,
}

/// What a name refers to.
#[derive(Clone, Copy, Debug)]
enum Target {
    Digest(Fingerprint),
    Unreadable,
}

impl<'a> Count<'a> {
    const NAME: u32 = 1;
    const LABELS: u32 = 2;
    const TARGET: u32 = 3;
    const CREATED_AT: u32 = 7;

    /// Bytes of a name that are read: the longest key of containerd's database (bbolt, MaxKeySize).
    pub(super) const NAME_WANTED: usize = 32_768;

    /// Bytes of a target that are read. containerd sends the digest before everything that may be long.
    pub(super) const TARGET_WANTED: usize = 4_096;

    /// Bytes of a time that are read: more than it has.
    const TIME_WANTED: usize = 64;

    /// Bytes of a label that are read: more than the longest that matters.
    const LABEL_WANTED: usize = 64;

    pub(super) fn new(references: Option<&'a References>) -> Self {
        Self {
            contents: Contents {
                names: Some(0),
                size_bytes: None,
                unused: references.map(|_| 0),
                untagged: Some(0),
                ..Contents::default()
            },
            references,
            used: false,
            uncounted: None,
            images: Fingerprints::with_room_for(MOST),
            target: None,
            tagged: false,
            name: Name::default(),
            created: None,
        }
    }

    /// Reads a descriptor. One without a digest has the empty digest.
    fn target(&self, descriptor: &[u8]) -> Target {
        const DIGEST: u32 = 2;
        let mut digest = None;
        let is_whole = read_fields(descriptor, |field, value| {
            if let (DIGEST, Value::Bytes(value)) = (field, value) {
                digest = Some(value);
            }
        });
        match digest {
            Some(digest) => Target::Digest(self.images.of(digest)),
            None if is_whole => Target::Digest(self.images.of(&[])),
            None => Target::Unreadable,
        }
    }

    /// Counts the current name's image, if it is new, and what is new about it.
    fn count_image(&mut self) -> Result<(), Uncounted> {
        let contents = &mut self.contents;
        let target = match self.target.take() {
            Some(Target::Digest(digest)) => digest,
            Some(Target::Unreadable) => return Err(Uncounted::Unreadable),
            None => self.images.of(&[]),
        };
        let (mut flags, is_new) = self.images.add(target).ok_or(Uncounted::TooMany)?;
        if is_new {
            contents.images = contents.images.map(|images| images + 1);
            contents.untagged = contents.untagged.map(|untagged| untagged + 1);
            contents.unused = contents.unused.map(|unused| unused + 1);
            contents.registries.add(Registry::None);
        }
        if self.tagged && flags.set(TAGGED) {
            contents.untagged = contents.untagged.map(|untagged| untagged - 1);
        }
        if self.used && flags.set(USED) {
            contents.unused = contents.unused.map(|unused| unused - 1);
        }
        if self.name.is_given() && flags.set(NAMED) {
            contents.registries.add_named(self.name.registry());
        }
        Ok(())
    }

    fn give_up(&mut self, why: Uncounted) {
        self.uncounted = Some(why);
        self.images = Fingerprints::with_room_for(0);
        self.contents.images = None;
        self.contents.untagged = None;
        self.contents.unused = None;
        self.contents.registries = Registries::default();
    }
}

impl Visitor for Count<'_> {
    fn integer(&mut self, _: u32, _: u64) {}

    fn wanted(&self, field: u32) -> usize {
        match field {
            Self::NAME => Self::NAME_WANTED,
            Self::LABELS if self.references.is_some() => Self::LABEL_WANTED,
            Self::TARGET => Self::TARGET_WANTED,
            Self::CREATED_AT => Self::TIME_WANTED,
            _ => 0,
        }
    }

    fn bytes(&mut self, field: u32, beginning: &[u8]) {
        match field {
            Self::NAME => {
                let references = self.references.filter(|references| !references.is_empty());
                self.used |= references.is_some_and(|references| references.contains(beginning));
                self.tagged = is_tagged(beginning);
                self.name.forget();
                if is_name(beginning) {
                    self.name
                        .give(&beginning[..beginning.len().min(Name::WANTED)]);
                }
            }
            Self::LABELS => self.used |= is_pin(beginning),
            Self::TARGET => self.target = Some(self.target(beginning)),
            Self::CREATED_AT => self.created = timestamp::seconds(beginning),
            _ => {}
        }
    }

    fn end(&mut self) {
        self.contents.names = self.contents.names.map(|names| names + 1);
        if let Some(created) = self.created.take() {
            self.contents.add_import(created);
        }
        if self.uncounted.is_none()
            && let Err(why) = self.count_image()
        {
            self.give_up(why);
        }
        self.target = None;
        self.used = false;
        self.tagged = false;
        self.name.forget();
    }
}

impl fmt::Display for Uncounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => {
                write!(f, "the images are not counted: there are more than {MOST}")
            }
            Self::Unreadable => {
                f.write_str("the images are not counted: the digest of one cannot be read")
            }
        }
    }
}

/// Whether the name is not a generated one: a digest, or a word and a digest, such as `moby-dangling@sha256:…` (Docker),
/// `overlayfs@sha256:…` (nerdctl), `import-2024-01-31@sha256:…` (ctr).
fn is_name(name: &[u8]) -> bool {
    let begins = name.split(|&byte| byte == b'@').next().unwrap_or_default();
    let is_word = begins.len() < name.len() && !begins.iter().any(|byte| b"/:".contains(byte));
    !is_word && !is_digest(name)
}

/// Whether a name has a tag: a colon in the last component of its path, before the digest.
fn is_tagged(name: &[u8]) -> bool {
    let before_digest = name.split(|&byte| byte == b'@').next().unwrap_or_default();
    let component = before_digest.rsplit(|&byte| byte == b'/').next();
    is_name(name) && component.is_some_and(|component| component.contains(&b':'))
}

/// Whether this entry of an image's labels pins it, see `PinnedImageLabelKey` in containerd's internal/cri/labels.
fn is_pin(label: &[u8]) -> bool {
    const KEY: u32 = 1;
    const VALUE: u32 = 2;
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    read_fields(label, |field, content| match (field, content) {
        (KEY, Value::Bytes(content)) => key = content,
        (VALUE, Value::Bytes(content)) => value = content,
        _ => {}
    });
    (key, value) == (b"io.cri-containerd.pinned", b"pinned")
}

/// Whether this is a digest as in the OCI image specification: algorithm, colon and hexadecimal digits.
fn is_digest(name: &[u8]) -> bool {
    const ALGORITHMS: [(&[u8], usize); 2] = [(b"sha256:", 64), (b"sha512:", 128)];
    ALGORITHMS.iter().any(|&(algorithm, digits)| {
        name.strip_prefix(algorithm)
            .is_some_and(|hex| hex.len() == digits && hex.iter().all(u8::is_ascii_hexdigit))
    })
}
