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
    /// Whether a container refers to it; `None` if that is not known.
    pub(crate) used: Option<bool>,
    /// `None` if the store does not support registries.
    pub(crate) registry: Option<Registry<'a>>,
}

/// Totals of the images that a store reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Number of images; `None` if they could not be counted exactly.
    pub(crate) images: Option<u64>,
    /// Number of their names; `None` if the store lists images, not names.
    pub(crate) names: Option<u64>,
    /// Sum of their sizes in bytes, at most `u64::MAX`; `None` if the store does not report sizes.
    pub(crate) size_bytes: Option<u64>,
    /// Size of the largest in bytes; `None` if the store is empty or does not report sizes.
    pub(crate) largest_bytes: Option<u64>,
    /// Earliest import in seconds since the epoch; `None` if the store reports none.
    pub(crate) oldest_seconds: Option<i64>,
    /// Latest import in seconds since the epoch; `None` if the store reports none.
    pub(crate) newest_seconds: Option<i64>,
    /// Images without a tag; `None` if the store does not support tags.
    pub(crate) untagged: Option<u64>,
    /// Images kept from garbage collection; `None` if the store does not support pinning.
    pub(crate) pinned: Option<u64>,
    /// Images that are neither used nor pinned; `None` if that is not known.
    pub(crate) unused: Option<u64>,
    /// Sum of their sizes in bytes, at most `u64::MAX`; `None` if that is not known.
    pub(crate) unused_bytes: Option<u64>,
    /// Images per registry; they add up to `images` if the store supports registries.
    pub(crate) registries: Registries,
}

/// The contents of an empty store that lists images with their sizes.
impl Default for Contents {
    fn default() -> Self {
        Self {
            images: Some(0),
            names: None,
            size_bytes: Some(0),
            largest_bytes: None,
            oldest_seconds: None,
            newest_seconds: None,
            untagged: None,
            pinned: None,
            unused: None,
            unused_bytes: None,
            registries: Registries::default(),
        }
    }
}

impl Contents {
    /// The same, if the store supports tags and pinning too.
    pub(crate) fn with_tags_and_pins() -> Self {
        Self {
            untagged: Some(0),
            pinned: Some(0),
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, image: Image<'_>) {
        if let Some(images) = &mut self.images {
            *images += 1;
        }
        if let Some(sum) = &mut self.size_bytes {
            *sum = sum.saturating_add(image.size_bytes);
        }
        self.largest_bytes = self.largest_bytes.max(Some(image.size_bytes));
        if let Some(imported) = image.imported_seconds {
            self.add_import(imported);
        }
        if let Some(untagged) = &mut self.untagged {
            *untagged += u64::from(image.tagged == Some(false));
        }
        if let Some(pinned) = &mut self.pinned {
            *pinned += u64::from(image.pinned == Some(true));
        }
        if image.used == Some(false) && image.pinned != Some(true) {
            self.unused = self.unused.map(|unused| unused + 1);
            let bytes = |sum: u64| sum.saturating_add(image.size_bytes);
            self.unused_bytes = self.unused_bytes.map(bytes);
        }
        if let Some(registry) = image.registry {
            self.registries.add(registry);
        }
    }

    /// Takes an import into account, in seconds since the epoch.
    pub(crate) fn add_import(&mut self, imported: i64) {
        let oldest = self.oldest_seconds.unwrap_or(imported);
        self.oldest_seconds = Some(oldest.min(imported));
        self.newest_seconds = self.newest_seconds.max(Some(imported));
    }
}
