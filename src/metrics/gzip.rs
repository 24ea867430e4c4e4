//! gzip (RFC 1952), in pieces: what rarely changes is compressed once, and what changes from scrape to scrape is only stored,
//! because compressing it would take a third of the time of a scrape.

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// Magic number, deflate, no flags, no time, fastest, Unix.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 3];
/// Begins a block that is not the last one, and not compressed.
const STORED: u8 = 0;
/// A last block without content.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// Blocks of a deflate stream (RFC 1951) that refer to no earlier block and end at a byte boundary.
#[derive(Debug, Default)]
pub(super) struct Piece {
    blocks: Vec<u8>,
    /// Of the text.
    check: Crc,
}

impl Piece {
    /// The text, compressed. The compressor, which needs more memory than the text, is not kept.
    pub(super) fn compress(text: &[u8]) -> Self {
        let mut compressor = Compress::new(Compression::fast(), false);
        let mut piece = Self::default();
        piece.check.update(text);
        // Deflate makes text smaller, but not every text.
        piece.blocks.reserve(text.len() / 2 + 64);
        loop {
            let read = usize::try_from(compressor.total_in()).unwrap_or(text.len());
            match compressor.compress_vec(&text[read..], &mut piece.blocks, FlushCompress::Sync) {
                // If there is room left, the flush is complete.
                Ok(Status::Ok) if piece.blocks.len() < piece.blocks.capacity() => return piece,
                Ok(Status::Ok) => piece.blocks.reserve(1024),
                _ => return Self::store(text),
            }
        }
    }

    /// The text, not compressed.
    pub(super) fn store(text: &[u8]) -> Self {
        let mut piece = Self::default();
        piece.check.update(text);
        for text in text.chunks(usize::from(u16::MAX)) {
            // The length fits: it is that of a chunk.
            let length = text.len() as u16;
            piece.blocks.push(STORED);
            piece.blocks.extend(length.to_le_bytes());
            piece.blocks.extend((!length).to_le_bytes());
            piece.blocks.extend(text);
        }
        piece
    }
}

/// All pieces, as one file.
pub(super) fn file(pieces: &[&Piece]) -> Vec<u8> {
    let mut check = Crc::new();
    let length: usize = pieces.iter().map(|piece| piece.blocks.len()).sum();
    let mut file = Vec::with_capacity(HEADER.len() + length + LAST_BLOCK.len() + 8);
    file.extend(HEADER);
    for piece in pieces {
        check.combine(&piece.check);
        file.extend(&piece.blocks);
    }
    file.extend(LAST_BLOCK);
    file.extend(check.sum().to_le_bytes());
    file.extend(check.amount().to_le_bytes());
    file
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{Piece, file};

    fn decompressed(bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(bytes);
        decoder.read_to_end(&mut text).expect("it is gzip");
        text
    }

    #[test]
    fn pieces_of_any_length_are_one_file() {
        // Pseudo-random bytes do not become smaller.
        let mut state = 1_u32;
        let noise = |length: usize| -> Vec<u8> {
            let bytes = (0..length).map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            });
            bytes.collect()
        };
        let mut texts: Vec<Vec<u8>> = [0, 1, 100, 5_000, 200_000].map(noise).into();
        texts.extend([0, 1, 1_000, 100_000].map(|times| b"imagestore_up 1\n".repeat(times)));
        let pieces = texts
            .iter()
            .flat_map(|text| [Piece::compress(text), Piece::store(text)]);
        let pieces: Vec<_> = pieces.collect();
        let all: Vec<_> = pieces.iter().collect();
        let twice: Vec<u8> = texts.iter().flat_map(|text| text.repeat(2)).collect();
        assert_eq!(decompressed(&file(&all)), twice);
    }
}
