//! The basic encodings: bytes, varints, lengths and strings.

use super::{DecodeError, Reader, error};

impl<'a> Reader<'a> {
    /// A length or a count. Every counted item takes at least one byte, so a value above the number of bytes left is an error.
    pub(super) fn length(&mut self) -> Result<usize, DecodeError> {
        let at = self.at;
        let length = self.varint(32)? as usize;
        if length > self.left() {
            let left = self.left();
            return Err(error(
                at,
                format!("a length of {length} where {left} bytes are left"),
            ));
        }
        Ok(length)
    }

    pub(super) fn text(&mut self) -> Result<String, DecodeError> {
        let at = self.at;
        let bytes = self.blob()?.to_vec();
        String::from_utf8(bytes).map_err(|_| error(at, "a string that is not UTF-8"))
    }

    pub(super) fn blob(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.length()?;
        self.take(length)
    }

    pub(super) fn zigzag(&mut self, bits: u32) -> Result<i64, DecodeError> {
        let folded = self.varint(bits)?;
        Ok((folded >> 1).cast_signed() ^ -((folded & 1).cast_signed()))
    }

    /// Unsigned LEB128 of at most `bits` bits.
    pub(super) fn varint(&mut self, bits: u32) -> Result<u64, DecodeError> {
        let at = self.at;
        let mut value = 0_u64;
        for shift in (0..bits).step_by(7) {
            let byte = self.byte()?;
            let group = u64::from(byte & 0x7f);
            if bits - shift < 7 && group >> (bits - shift) != 0 {
                break;
            }
            value |= group << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(error(at, format!("a varint of more than {bits} bits")))
    }

    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let Some(taken) = self.bytes[self.at..].get(..count) else {
            let left = self.left();
            return Err(self.error(format!("{count} bytes are needed, {left} are left")));
        };
        self.at += count;
        Ok(taken)
    }
}
