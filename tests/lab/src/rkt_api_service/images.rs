//! What the store holds, as ListImages lists it.

mod filter;
mod generated;
mod manifests;

use std::io;
use std::path::PathBuf;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message as _;

use self::generated::Generator;
use super::v1alpha::{Image, ImageFilter, ListImagesRequest};

/// How much of a listing is encoded at a time, in bytes.
const BLOCK: usize = 128 * 1024;

/// Field 1, length-delimited: `ListImagesResponse.images`.
const IMAGES_TAG: u8 = 0x0a;

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

/// An encoded ListImagesResponse, made while it is read.
pub(super) struct Listing {
    pub(super) length: u64,
    pub(super) blocks: Box<dyn Iterator<Item = Bytes> + Send>,
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
                Listing::of(generator.images(), filters)
            });
        }
        Ok(Listing::of(self.list(detail)?.into_iter(), filters))
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

impl Listing {
    /// The images that satisfy any of the filters; all of them when there is none.
    fn of(
        images: impl Iterator<Item = Image> + Clone + Send + 'static,
        filters: Vec<ImageFilter>,
    ) -> Self {
        let mut chosen = images.filter(move |image| filter::lists(&filters, image));
        let length = chosen.clone().map(|image| encoded_len(&image)).sum();
        let blocks = std::iter::from_fn(move || {
            let mut block = BytesMut::new();
            for image in chosen.by_ref() {
                put_image(&image, &mut block);
                if block.len() >= BLOCK {
                    break;
                }
            }
            (!block.is_empty()).then(|| block.freeze())
        });
        Self {
            length,
            blocks: Box::new(blocks),
        }
    }

    /// So many times the same bytes.
    pub(super) fn repeated(bytes: &[u8], times: usize) -> Self {
        let per_block = (BLOCK / bytes.len()).max(1);
        let whole = Bytes::from(bytes.repeat(per_block.min(times)));
        let rest = whole.slice(..bytes.len() * (times % per_block));
        let blocks = std::iter::repeat_n(whole, times / per_block).chain([rest]);
        Self {
            length: (bytes.len() * times) as u64,
            blocks: Box::new(blocks),
        }
    }

    pub(super) fn of_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            length: bytes.len() as u64,
            blocks: Box::new(std::iter::once(bytes)),
        }
    }

    pub(super) fn followed_by(self, bytes: &'static [u8]) -> Self {
        Self {
            length: self.length + bytes.len() as u64,
            blocks: Box::new(self.blocks.chain([Bytes::from_static(bytes)])),
        }
    }
}

/// A block of images that can be sent again and again.
pub(super) fn flood_block() -> Bytes {
    let count = BLOCK / 256;
    let mut listing = Generator::new(count, 1, false).listing();
    listing.blocks.next().expect("there are images")
}

/// Bytes of an image as an element of the list.
fn encoded_len(image: &Image) -> u64 {
    let length = image.encoded_len();
    (1 + prost::length_delimiter_len(length) + length) as u64
}

fn put_image(image: &Image, block: &mut BytesMut) {
    block.put_u8(IMAGES_TAG);
    image
        .encode_length_delimited(block)
        .expect("BytesMut grows");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rkt_api_service::v1alpha::ListImagesResponse;

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
