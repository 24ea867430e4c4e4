//! The images in the store, as ListImages lists them. The request's filters and its `detail` flag are ignored, because the
//! service uses neither.

mod generated;

use self::generated::Generator;
use super::v1alpha::Image;
use crate::stand_in::{Listing, encoded_len};

/// The images in the store.
#[derive(Clone, Debug)]
pub enum Images {
    /// Distinct images, 254 encoded bytes each for up to 1,000,000 images. The same seed gives the same images.
    Generated {
        /// Number of images; at most 16,000,000 fit in a gRPC message.
        count: usize,
        /// Any number.
        seed: u64,
    },
    /// These images.
    Listed(Vec<Image>),
}

/// The totals that a client should compute.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Images.
    pub count: u64,
    /// Sum of all sizes in bytes; a negative size counts as 0.
    pub size_bytes: u64,
    /// Size of the largest image in bytes; 0 if there are no images.
    pub largest: u64,
    /// Earliest import time in seconds since the epoch; 0 if there are no images.
    pub oldest: i64,
    /// Latest import time in seconds since the epoch; 0 if there are no images.
    pub newest: i64,
    /// Length of the ListImagesResponse, without gRPC's prefix of 5 bytes.
    pub encoded_bytes: u64,
}

impl Images {
    /// This many generated images.
    pub fn generated(count: usize) -> Self {
        Self::Generated { count, seed: 1 }
    }

    /// Five images like those of a small host.
    pub fn samples() -> Self {
        let image = |(name, version, size): (&str, &str, i64)| Image {
            id: format!("sha512-{size:064x}"),
            name: name.into(),
            version: version.into(),
            import_timestamp: 1_700_000_000 + size % 1_000_000,
            size,
            ..Image::default()
        };
        let samples = [
            ("coreos.com/etcd", "v3.1.7", 666),
            ("coreos.com/flannel", "v0.7.1", 473),
            ("registry.example.org/library/nginx", "1.27", 72_366_545),
            ("registry.example.org/library/postgres", "17", 156_499_292),
            ("registry.example.org/pause", "3.10", 322_771),
        ];
        Self::Listed(samples.map(image).into())
    }

    /// The totals that a client should compute.
    pub fn totals(&self) -> Totals {
        match self {
            Self::Generated { count, seed } => {
                let generator = Generator::new(*count, *seed);
                let facts = generator
                    .facts()
                    .map(|facts| (facts.size, facts.import_timestamp));
                totals(facts, generator.encoded_bytes())
            }
            Self::Listed(images) => totals(
                images
                    .iter()
                    .map(|image| (image.size, image.import_timestamp)),
                images.iter().map(encoded_len).sum(),
            ),
        }
    }

    /// One message with all images.
    pub(super) fn listing(&self) -> Listing {
        match self {
            Self::Generated { count, seed } => Generator::new(*count, *seed).listing(),
            Self::Listed(images) => Listing::of(images.clone().into_iter()),
        }
    }
}

fn totals(sizes_and_times: impl Iterator<Item = (i64, i64)>, encoded_bytes: u64) -> Totals {
    let mut totals = Totals {
        encoded_bytes,
        ..Totals::default()
    };
    for (size, time) in sizes_and_times {
        let first = totals.count == 0;
        totals.count += 1;
        let size = u64::try_from(size).unwrap_or(0);
        totals.size_bytes += size;
        totals.largest = totals.largest.max(size);
        totals.oldest = if first { time } else { totals.oldest.min(time) };
        totals.newest = if first { time } else { totals.newest.max(time) };
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rkt_api_service::v1alpha::ListImagesResponse;
    use prost::Message as _;
    use std::collections::HashSet;

    /// The images as decoded by prost. Asserts that `totals` agrees with them.
    fn sent(images: &Images) -> Vec<Image> {
        let listing = images.listing();
        let length = listing.length;
        let bytes: Vec<u8> = listing.blocks.flatten().collect();
        assert_eq!(bytes.len() as u64, length, "the announced length");
        let sent = ListImagesResponse::decode(&bytes[..]).unwrap().images;
        let sizes = sent.iter().map(|image| u64::try_from(image.size));
        let times = || sent.iter().map(|image| image.import_timestamp);
        let decoded = Totals {
            count: sent.len() as u64,
            size_bytes: sizes.clone().map(Result::unwrap_or_default).sum(),
            largest: sizes
                .map(Result::unwrap_or_default)
                .max()
                .unwrap_or_default(),
            oldest: times().min().unwrap_or_default(),
            newest: times().max().unwrap_or_default(),
            encoded_bytes: length,
        };
        assert_eq!(images.totals(), decoded);
        sent
    }

    #[test]
    fn totals_are_what_is_sent() {
        let backwards = Image {
            size: -1,
            import_timestamp: -5,
            ..Image::default()
        };
        for listed in [vec![], vec![backwards, Image::default()]] {
            assert_eq!(sent(&Images::Listed(listed.clone())), listed);
        }
        for count in [0, 1, 2, 10_007] {
            let ids = sent(&Images::generated(count)).into_iter();
            let ids: HashSet<String> = ids.map(|image| image.id).collect();
            assert_eq!(ids.len(), count, "the ids are distinct");
        }
    }

    #[test]
    fn generated_images_are_254_bytes_long_and_depend_on_the_seed() {
        let of_seed = |seed| Images::Generated { count: 100, seed };
        assert_eq!(of_seed(1).totals().encoded_bytes, 100 * 254);
        assert_eq!(sent(&of_seed(1)), sent(&of_seed(1)));
        assert_ne!(of_seed(1).totals(), of_seed(2).totals());
    }
}
