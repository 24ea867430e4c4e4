//! A protobuf field that has arrived whole, as nearly all have: read at once, where it lies.

/// What a field holds.
pub(super) enum Value<'a> {
    /// Wire type VARINT.
    Integer(u64),
    /// Wire type LEN.
    Bytes(&'a [u8]),
    /// Wire types I32 and I64, which nobody wants.
    Fixed,
}

/// Takes the next field and its number off `bytes`; nothing when the field is not whole, or not as it should be.
#[inline(always)]
pub(super) fn take<'a>(bytes: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
    if let [tag, length, ref rest @ ..] = **bytes
        && tag & 0x87 == 2
        && tag >= 8
        && length < 0x80
        && let Some((value, rest)) = rest.split_at_checked(length.into())
    {
        *bytes = rest;
        return Some(((tag >> 3).into(), Value::Bytes(value)));
    }
    take_any(bytes)
}

fn take_any<'a>(bytes: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
    let (tag, rest) = varint(bytes)?;
    let number = u32::try_from(tag >> 3).ok()?;
    if number == 0 || number >= 1 << 29 {
        return None;
    }
    let (value, rest) = match tag & 7 {
        0 => {
            let (value, rest) = varint(rest)?;
            (Value::Integer(value), rest)
        }
        1 => (Value::Fixed, rest.get(8..)?),
        2 => {
            let (length, rest) = varint(rest)?;
            let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            (Value::Bytes(value), rest)
        }
        5 => (Value::Fixed, rest.get(4..)?),
        _ => return None,
    };
    *bytes = rest;
    Some((number, value))
}

#[inline(always)]
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    if let [byte, ref rest @ ..] = *bytes
        && byte < 0x80
    {
        return Some((byte.into(), rest));
    }
    bytes
        .first_chunk()
        .and_then(|chunk| {
            let (value, length) = varint_of_eight(u64::from_le_bytes(*chunk))?;
            Some((value, &bytes[length..]))
        })
        .or_else(|| long_varint(bytes))
}

/// A varint of at most eight bytes and its length: all its bytes at a time.
#[inline(always)]
fn varint_of_eight(word: u64) -> Option<(u64, usize)> {
    let ends = !word & 0x8080_8080_8080_8080;
    if ends == 0 {
        return None;
    }
    let bits = ends.trailing_zeros() + 1;
    let sevens = word & (u64::MAX >> (64 - bits)) & 0x7f7f_7f7f_7f7f_7f7f;
    let fourteens = sevens & 0x007f_007f_007f_007f | (sevens & 0x7f00_7f00_7f00_7f00) >> 1;
    let twenty_eights =
        fourteens & 0x0000_3fff_0000_3fff | (fourteens & 0x3fff_0000_3fff_0000) >> 2;
    let value = twenty_eights & 0x0fff_ffff | (twenty_eights & 0x0fff_ffff_0000_0000) >> 4;
    Some((value, bits as usize / 8))
}

#[cold]
fn long_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(10).enumerate() {
        // The tenth byte holds the 64th bit and no other.
        if index == 9 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}
