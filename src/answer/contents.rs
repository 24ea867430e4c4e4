//! The contents of a store: its images, added up as they arrive, in constant memory.

use super::{Registries, Registry};

/// The properties of an image that are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image<'a> {
    pub(crate) size_bytes: u64,
    /// Import time in seconds since the epoch, if the store reports it.
    pub(crate) imported_seconds: Option<i64>,
    /// `None` if the store does not support tags.
    pub(crate) tagged: Option<bool>,
    /// `None` if the store does not support pinning.
    pub(crate) pinned: Option<bool>,
    /// `None` if the store does not support registries.
    pub(crate) registry: Option<Registry<'a>>,
}

/// Totals of the images that a store reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Number of images.
    pub(crate) images: u64,
    /// Sum of their sizes in bytes, at most `u64::MAX`.
    pub(crate) size_bytes: u64,
    /// Earliest import in seconds since the epoch; `None` if the store reports none.
    pub(crate) oldest_seconds: Option<i64>,
    /// Latest import in seconds since the epoch; `None` if the store reports none.
    pub(crate) newest_seconds: Option<i64>,
    /// Images without a tag; `None` if the store does not support tags.
    pub(crate) untagged: Option<u64>,
    /// Images kept from garbage collection; `None` if the store does not support pinning.
    pub(crate) pinned: Option<u64>,
    /// Images per registry; they add up to `images` if the store supports registries.
    pub(crate) registries: Registries,
}

impl Contents {
    /// The contents of an empty store that supports tags and pinning.
    pub(crate) fn with_tags_and_pins() -> Self {
        Self {
            untagged: Some(0),
            pinned: Some(0),
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, image: Image<'_>) {
        self.images += 1;
        self.size_bytes = self.size_bytes.saturating_add(image.size_bytes);
        if let Some(imported) = image.imported_seconds {
            self.oldest_seconds = Some(
                self.oldest_seconds
                    .map_or(imported, |oldest| oldest.min(imported)),
            );
            self.newest_seconds = self.newest_seconds.max(Some(imported));
        }
        if let Some(untagged) = &mut self.untagged {
            *untagged += u64::from(image.tagged == Some(false));
        }
        if let Some(pinned) = &mut self.pinned {
            *pinned += u64::from(image.pinned == Some(true));
        }
        if let Some(registry) = image.registry {
            self.registries.add(registry);
        }
    }
}
