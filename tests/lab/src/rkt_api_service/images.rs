//! What the store holds, as ListImages lists it.

mod filter;
mod generated;
mod manifests;

use std::io;
use std::path::PathBuf;

use bytes::Bytes;

use self::generated::Generator;
use super::v1alpha::{Image, ImageFilter, ListImagesRequest};
use crate::stand_in::{BLOCK, Listing, encoded_len};

/// What the store holds.
#[derive(Clone, Debug)]
pub enum Images {
    /// Made up: distinct images of 254 bytes each as encoded (up to 1,000,000 of them), the same for the same seed.
    Generated {
        /// Images, at most 16,000,000: what a gRPC message can hold.
        count: usize,
        /// Any number.
        seed: u64,
    },
    /// The ACI image manifests and OCI image manifests (`*.json`) of a directory, which is read at each call. What is
    /// neither is left out, with a line on stderr. Sizes: an OCI image's is that of its config and layers, an ACI's,
    /// whose manifest does not tell, that of the manifest.
    Manifests(PathBuf),
    /// These; their `manifest` is sent on demand only.
    Listed(Vec<Image>),
}

/// What a client should find out about the images.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Images.
    pub count: u64,
    /// Sum of all sizes in bytes; a negative size counts as 0.
    pub size_bytes: u64,
    /// Least import time, seconds since the epoch; 0 when there is no image.
    pub oldest: i64,
    /// Greatest import time, seconds since the epoch; 0 when there is no image.
    pub newest: i64,
    /// Length of the ListImagesResponse without detail, without the 5 bytes of gRPC's prefix.
    pub encoded_bytes: u64,
}

impl Images {
    /// So many made-up images.
    pub fn generated(count: usize) -> Self {
        Self::Generated { count, seed: 1 }
    }

    /// What a client should find out. Panics when a directory of manifests cannot be read.
    pub fn totals(&self) -> Totals {
        match self {
            Self::Generated { count, seed } => {
                let generator = Generator::new(*count, *seed, false);
                let facts = generator
                    .facts()
                    .map(|facts| (facts.size, facts.import_timestamp));
                totals(facts, generator.encoded_bytes())
            }
            Self::Manifests(_) | Self::Listed(_) => {
                let images = self
                    .list(false)
                    .expect("the directory of manifests is readable");
                let encoded_bytes = images.iter().map(encoded_len).sum();
                totals(
                    images
                        .iter()
                        .map(|image| (image.size, image.import_timestamp)),
                    encoded_bytes,
                )
            }
        }
    }

    /// The answer to `request`.
    pub(super) fn listing(&self, request: &ListImagesRequest) -> io::Result<Listing> {
        let ListImagesRequest { filters, detail } = request.clone();
        if let Self::Generated { count, seed } = self {
            let generator = Generator::new(*count, *seed, detail);
            return Ok(if filters.is_empty() {
                generator.listing()
            } else {
                chosen(generator.images(), filters)
            });
        }
        Ok(chosen(self.list(detail)?.into_iter(), filters))
    }

    fn list(&self, detail: bool) -> io::Result<Vec<Image>> {
        let mut images = match self {
            Self::Generated { count, seed } => {
                Generator::new(*count, *seed, detail).images().collect()
            }
            Self::Manifests(directory) => manifests::read(directory)?,
            Self::Listed(images) => images.clone(),
        };
        if !detail {
            images.iter_mut().for_each(|image| image.manifest.clear());
        }
        Ok(images)
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
        totals.size_bytes += u64::try_from(size).unwrap_or(0);
        totals.oldest = if first { time } else { totals.oldest.min(time) };
        totals.newest = if first { time } else { totals.newest.max(time) };
    }
    totals
}

/// The images that satisfy any of the filters; all of them when there is none.
fn chosen(
    images: impl Iterator<Item = Image> + Clone + Send + 'static,
    filters: Vec<ImageFilter>,
) -> Listing {
    Listing::of(images.filter(move |image| filter::lists(&filters, image)))
}

/// A block of images that can be sent again and again.
pub(super) fn flood_block() -> Bytes {
    let count = BLOCK / 256;
    let mut listing = Generator::new(count, 1, false).listing();
    listing.blocks.next().expect("there are images")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rkt_api_service::v1alpha::ListImagesResponse;
    use prost::Message as _;

    fn encoded(images: &Images, request: &ListImagesRequest) -> Vec<u8> {
        let listing = images.listing(request).unwrap();
        let length = listing.length;
        let bytes: Vec<u8> = listing.blocks.flatten().collect();
        assert_eq!(bytes.len() as u64, length, "the length announced");
        bytes
    }

    fn listed(images: &Images, request: &ListImagesRequest) -> Vec<Image> {
        let bytes = encoded(images, request);
        ListImagesResponse::decode(&bytes[..]).unwrap().images
    }

    fn assert_totals_are_what_is_sent(images: &Images) {
        let bytes = encoded(images, &ListImagesRequest::default());
        let sent = ListImagesResponse::decode(&bytes[..]).unwrap().images;
        let counted = totals(
            sent.iter()
                .map(|image| (image.size, image.import_timestamp)),
            bytes.len() as u64,
        );
        assert_eq!(images.totals(), counted);
        assert_eq!(ListImagesResponse { images: sent }.encode_to_vec(), bytes);
    }

    #[test]
    fn totals_are_what_is_sent() {
        for count in [0, 1, 2, 1_000, 10_007] {
            assert_totals_are_what_is_sent(&Images::generated(count));
        }
        let backwards = Image {
            size: -1,
            import_timestamp: -5,
            ..Image::default()
        };
        assert_totals_are_what_is_sent(&Images::Listed(vec![]));
        assert_totals_are_what_is_sent(&Images::Listed(vec![backwards, Image::default()]));
    }

    #[test]
    fn a_generated_image_is_as_long_as_a_real_one() {
        assert_eq!(
            Images::generated(1_000_000).totals().encoded_bytes,
            254_000_000
        );
    }

    #[test]
    fn a_manifest_is_sent_on_demand_only() {
        let image = Image {
            manifest: b"{}".to_vec(),
            ..Image::default()
        };
        for images in [Images::generated(3), Images::Listed(vec![image])] {
            let with = |detail| {
                let request = ListImagesRequest {
                    detail,
                    ..ListImagesRequest::default()
                };
                listed(&images, &request)
            };
            assert!(with(false).iter().all(|image| image.manifest.is_empty()));
            for image in with(true) {
                serde_json::from_slice::<serde_json::Value>(&image.manifest).unwrap();
            }
        }
    }

    #[test]
    fn a_filter_chooses_among_generated_images() {
        let request = ListImagesRequest {
            filters: vec![ImageFilter {
                keywords: vec!["-00001".into()],
                ..ImageFilter::default()
            }],
            detail: true,
        };
        let names = |images: Vec<Image>| {
            images
                .into_iter()
                .map(|image| image.name)
                .collect::<Vec<_>>()
        };
        let chosen = names(listed(&Images::generated(1_000), &request));
        assert_eq!(chosen.len(), 10);
        assert_eq!(chosen[3], "example.org/service-000013");
    }
}
