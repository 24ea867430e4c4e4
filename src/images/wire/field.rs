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
#[inline]
pub(super) fn take<'a>(bytes: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
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

#[inline]
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    match *bytes {
        [byte, ref rest @ ..] if byte < 0x80 => Some((u64::from(byte), rest)),
        [low, high, ref rest @ ..] if high < 0x80 => {
            Some((u64::from(low & 0x7f) | u64::from(high) << 7, rest))
        }
        _ => long_varint(bytes),
    }
}

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
