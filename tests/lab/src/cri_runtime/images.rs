//! The images in the store, as ListImages and StreamImages list them.

use std::fmt;
use std::sync::Arc;

use super::v1::{ImageSpec, Int64Value};
use crate::stand_in::{Listing, encoded_len};

/// CRI's `Image` on the wire. Names are bytes here, because the names of a broken runtime may not be UTF-8.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Image {
    /// The runtime's identifier of the image.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Names with a tag.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub repo_tags: Vec<Vec<u8>>,
    /// Names with a digest.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub repo_digests: Vec<Vec<u8>>,
    /// Size in bytes.
    #[prost(uint64, tag = "4")]
    pub size: u64,
    /// The uid that runs its command.
    #[prost(message, optional, tag = "5")]
    pub uid: Option<Int64Value>,
    /// The user that runs its command.
    #[prost(string, tag = "6")]
    pub username: String,
    /// The image reference in the request.
    #[prost(message, optional, tag = "7")]
    pub spec: Option<ImageSpec>,
    /// Whether the image is excluded from garbage collection.
    #[prost(bool, tag = "8")]
    pub pinned: bool,
}

impl Image {
    /// An image of 1,000 bytes with this tag.
    pub fn tagged(tag: impl AsRef<[u8]>) -> Self {
        Self {
            repo_tags: vec![tag.as_ref().to_vec()],
            ..Self::untagged()
        }
    }

    /// An image of 1,000 bytes with this digest and no tag.
    pub fn with_digest(digest: impl AsRef<[u8]>) -> Self {
        Self {
            repo_digests: vec![digest.as_ref().to_vec()],
            ..Self::untagged()
        }
    }

    /// An image of 1,000 bytes with no name at all.
    pub fn untagged() -> Self {
        Self {
            id: format!("sha256:{:064x}", 0),
            size: 1_000,
            spec: Some(ImageSpec::default()),
            ..Self::default()
        }
    }

    /// The same image, excluded from garbage collection.
    pub fn pinned(self) -> Self {
        Self {
            pinned: true,
            ..self
        }
    }
}

/// The images in the store, generated while they are sent.
#[derive(Clone)]
pub struct Images {
    count: usize,
    image: Arc<dyn Fn(usize) -> Image + Send + Sync>,
}

/// The totals that a client should compute.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Images.
    pub count: u64,
    /// Sum of all sizes in bytes.
    pub size_bytes: u64,
    /// Size of the largest image in bytes; 0 if there are no images.
    pub largest: u64,
    /// Images without a tag.
    pub untagged: u64,
    /// Images excluded from garbage collection.
    pub pinned: u64,
    /// Length of the ListImagesResponse, without gRPC's prefix of 5 bytes.
    pub encoded_bytes: u64,
}

impl Images {
    /// `count` generated images of about 200 encoded bytes each. Their registries are `r0.example.org` to `r6.example.org` in
    /// turn. Every tenth image has no tag, and every twentieth is pinned.
    pub fn generated(count: usize) -> Self {
        Self::made(count, generated)
    }

    /// `count` images, each made by `image` from its ordinal.
    pub fn made(count: usize, image: impl Fn(usize) -> Image + Send + Sync + 'static) -> Self {
        let image = Arc::new(image);
        Self { count, image }
    }

    /// These images.
    pub fn listed(images: impl Into<Vec<Image>>) -> Self {
        let images = images.into();
        Self::made(images.len(), move |ordinal| images[ordinal].clone())
    }

    /// The totals that a client should compute.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for image in self.slice(0, self.count) {
            totals.count += 1;
            totals.size_bytes += image.size;
            totals.largest = totals.largest.max(image.size);
            totals.untagged += u64::from(image.repo_tags.is_empty());
            totals.pinned += u64::from(image.pinned);
            totals.encoded_bytes += encoded_len(&image);
        }
        totals
    }

    /// One message with all images.
    pub(super) fn listing(&self) -> Listing {
        Listing::of(self.slice(0, self.count))
    }

    /// Messages with at most `of` images each; none if there are no images.
    pub(super) fn batches(&self, of: usize) -> Vec<Listing> {
        let batch = |start| Listing::of(self.slice(start, (start + of).min(self.count)));
        (0..self.count).step_by(of).map(batch).collect()
    }

    fn slice(&self, from: usize, to: usize) -> impl Iterator<Item = Image> + Clone + Send + use<> {
        let image = Arc::clone(&self.image);
        (from..to).map(move |ordinal| image(ordinal))
    }
}

impl fmt::Debug for Images {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} images", self.count)
    }
}

fn generated(ordinal: usize) -> Image {
    let name = format!("r{}.example.org/service-{ordinal:06}", ordinal % 7);
    let tag = format!("{name}:1.{ordinal}");
    Image {
        id: format!("sha256:{ordinal:064x}"),
        repo_tags: (ordinal % 10 != 9)
            .then(|| tag.into_bytes())
            .into_iter()
            .collect(),
        repo_digests: vec![format!("{name}@sha256:{ordinal:064x}").into_bytes()],
        size: 1_000_000 + ordinal as u64,
        uid: Some(Int64Value { value: 1000 }),
        username: String::new(),
        spec: Some(ImageSpec::default()),
        pinned: ordinal.is_multiple_of(20),
    }
}
