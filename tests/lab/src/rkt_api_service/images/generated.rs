//! Generated images. The generator must not be the bottleneck of a bench, so it copies one encoded image as a template and
//! overwrites only the bytes that differ.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::rkt_api_service::v1alpha::{Image, ImageFormat, ImageType, KeyValue};
use crate::stand_in::{BLOCK, Listing, put_image};

/// Sizes whose varint is 4 bytes long: 2 MiB to 256 MiB.
const SIZES: Range<u64> = (1 << 21)..(1 << 28);

/// December 2015 to November 2023: varints of 5 bytes.
const IMPORT_TIMES: Range<u64> = 1_450_000_000..1_700_000_000;

// Placeholders in the template where images differ. They do not occur elsewhere in it.
const SIZE: [u8; 5] = [0x38, 0xff, 0xff, 0xff, 0x7f];
const IMPORT_TIME: [u8; 6] = [0x28, 0xff, 0xff, 0xff, 0xff, 0x7f];
const DIGEST: [u8; 64] = [b'#'; 64];
const VERSION: &str = "~.~.~";
const ORDINAL: &str = "?";

/// The images of a seed.
#[derive(Clone, Debug)]
pub(super) struct Generator {
    count: usize,
    seed: u64,
    template: Template,
}

/// The values that differ between images.
pub(super) struct Facts {
    digest: [u64; 4],
    ordinal: usize,
    version: u64,
    pub(super) size: i64,
    pub(super) import_timestamp: i64,
}

impl Generator {
    pub(super) fn new(count: usize, seed: u64) -> Self {
        let ordinal_digits = count.saturating_sub(1).to_string().len().max(6);
        Self {
            count,
            seed,
            template: Template::new(ordinal_digits),
        }
    }

    pub(super) fn encoded_bytes(&self) -> u64 {
        (self.count * self.template.bytes.len()) as u64
    }

    pub(super) fn facts(&self) -> impl Iterator<Item = Facts> + Clone + use<> {
        let seed = self.seed;
        (0..self.count).map(move |ordinal| Facts::new(seed, ordinal))
    }

    pub(super) fn listing(self) -> Listing {
        let mut facts = self.facts();
        let length = self.encoded_bytes();
        let per_block = (BLOCK / self.template.bytes.len()).max(1);
        let blocks = std::iter::from_fn(move || {
            let block = self
                .template
                .block(facts.by_ref().take(per_block), per_block);
            (!block.is_empty()).then_some(block)
        });
        Listing {
            length,
            blocks: Box::new(blocks),
        }
    }
}

impl Facts {
    fn new(seed: u64, ordinal: usize) -> Self {
        let mut state = seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ (ordinal as u64) << 20;
        let mut random = move || split_mix(&mut state);
        let mut within = |range: &Range<u64>| {
            let value = range.start + random() % (range.end - range.start);
            i64::try_from(value).expect("the range fits")
        };
        let (size, import_timestamp) = (within(&SIZES), within(&IMPORT_TIMES));
        Self {
            ordinal,
            size,
            import_timestamp,
            version: random(),
            digest: std::array::from_fn(|_| random()),
        }
    }
}

/// SplitMix64: a fast random number generator.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// An encoded element of the list, and the positions where images differ.
#[derive(Clone, Debug)]
struct Template {
    bytes: Vec<u8>,
    digests: Vec<Range<usize>>,
    ordinals: Vec<Range<usize>>,
    versions: Vec<Range<usize>>,
    sizes: Vec<Range<usize>>,
    import_times: Vec<Range<usize>>,
}

impl Template {
    fn new(ordinal_digits: usize) -> Self {
        let ordinal = ORDINAL.repeat(ordinal_digits);
        let name = format!("example.org/service-{ordinal}");
        let mut encoded = BytesMut::new();
        put_image(&sample(&name), &mut encoded);
        let bytes = encoded.to_vec();
        Self {
            digests: find(&bytes, &DIGEST),
            ordinals: find(&bytes, ordinal.as_bytes()),
            versions: find(&bytes, VERSION.as_bytes()),
            sizes: find(&bytes, &SIZE),
            import_times: find(&bytes, &IMPORT_TIME),
            bytes,
        }
    }

    fn block(&self, facts: impl Iterator<Item = Facts>, at_most: usize) -> Bytes {
        let mut block = BytesMut::with_capacity(at_most * self.bytes.len());
        for facts in facts {
            let start = block.len();
            block.extend_from_slice(&self.bytes);
            self.fill(&mut block[start..], &facts);
        }
        block.freeze()
    }

    fn fill(&self, image: &mut [u8], facts: &Facts) {
        for place in &self.digests {
            put_hex(&mut image[place.clone()], facts.digest);
        }
        for place in &self.ordinals {
            put_decimal(&mut image[place.clone()], facts.ordinal);
        }
        for place in &self.versions {
            put_version(&mut image[place.clone()], facts.version);
        }
        for place in &self.sizes {
            put_varint(&mut image[place.start + 1..place.end], facts.size);
        }
        for place in &self.import_times {
            put_varint(
                &mut image[place.start + 1..place.end],
                facts.import_timestamp,
            );
        }
    }
}

fn sample(name: &str) -> Image {
    let pair = |(key, value): (&str, &str)| KeyValue {
        key: key.into(),
        value: value.into(),
    };
    let labels = [("version", VERSION), ("os", "linux"), ("arch", "amd64")];
    let annotations = [
        ("created", "2016-05-20T15:00:00Z"),
        ("authors", "Example Team <a@example.org>"),
    ];
    Image {
        base_format: Some(ImageFormat {
            r#type: ImageType::Appc.into(),
            version: "0.8.11".into(),
        }),
        id: format!("sha512-{}", String::from_utf8_lossy(&DIGEST)),
        name: name.into(),
        version: VERSION.into(),
        import_timestamp: (1 << 35) - 1,
        size: (1 << 28) - 1,
        annotations: annotations.map(pair).into(),
        labels: labels.map(pair).into(),
        ..Image::default()
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Vec<Range<usize>> {
    let starts = bytes.windows(wanted.len()).enumerate();
    starts
        .filter(|(_, window)| *window == wanted)
        .map(|(start, _)| start..start + wanted.len())
        .collect()
}

fn put_hex(place: &mut [u8], digest: [u64; 4]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (word, digits) in digest.into_iter().zip(place.chunks_exact_mut(16)) {
        for (byte, pair) in word
            .to_be_bytes()
            .into_iter()
            .zip(digits.chunks_exact_mut(2))
        {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
    }
}

fn put_decimal(place: &mut [u8], mut number: usize) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn put_version(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().step_by(2) {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Fills `place` with a varint of exactly its length.
fn put_varint(place: &mut [u8], number: i64) {
    let mut left = number;
    let last = place.len() - 1;
    for byte in &mut place[..last] {
        *byte = 0x80 | (left & 0x7f) as u8;
        left >>= 7;
    }
    place[last] = left as u8;
}
