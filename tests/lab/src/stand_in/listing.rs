//! A message that lists images, generated while it is sent.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

/// The size of the blocks in which a listing is encoded, in bytes.
pub(crate) const BLOCK: usize = 128 * 1024;

/// Field 1, length-delimited: the field `images` of every message that lists images.
const IMAGES_TAG: u8 = 0x0a;

/// An encoded message, generated while it is sent.
pub struct Listing {
    pub(crate) length: u64,
    pub(crate) blocks: Box<dyn Iterator<Item = Bytes> + Send>,
}

impl Listing {
    /// A message whose field 1 lists these images.
    pub fn of<M: Message>(mut images: impl Iterator<Item = M> + Clone + Send + 'static) -> Self {
        let length = images.clone().map(|image| encoded_len(&image)).sum();
        let blocks = std::iter::from_fn(move || {
            let mut block = BytesMut::new();
            for image in images.by_ref() {
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

    /// An encoded message.
    pub fn of_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            length: bytes.len() as u64,
            blocks: Box::new(std::iter::once(bytes)),
        }
    }

    /// The same bytes, `times` times.
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

    pub(super) fn followed_by(self, bytes: &'static [u8]) -> Self {
        Self {
            length: self.length + bytes.len() as u64,
            blocks: Box::new(self.blocks.chain([Bytes::from_static(bytes)])),
        }
    }
}

/// The encoded length of an image as an element of the list.
pub(crate) fn encoded_len(image: &impl Message) -> u64 {
    let length = image.encoded_len();
    (1 + prost::length_delimiter_len(length) + length) as u64
}

pub(crate) fn put_image(image: &impl Message, block: &mut BytesMut) {
    block.put_u8(IMAGES_TAG);
    image
        .encode_length_delimited(block)
        .expect("BytesMut grows");
}
