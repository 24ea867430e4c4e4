//! Parses protobuf fields: a tag, then an integer, or content whose length is either given or fixed by the wire type.

use crate::{Fault, Malformed};

/// Longest [`Head`] in bytes: two varints.
pub(crate) const MAX_HEAD: usize = 2 * MAX_VARINT;

const MAX_VARINT: usize = 10;

const MAX_FIELD: u32 = (1 << 29) - 1;

/// The wire types and their numbers, without groups.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireType {
    Varint = 0,
    I64 = 1,
    Len = 2,
    I32 = 5,
}

/// A field up to its content.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) field: u32,
    pub(crate) wire_type: WireType,
    /// The integer of a VARINT, which has no content; otherwise the content's length.
    pub(crate) value: u64,
    /// Offset of the content's length; for I32 and I64, of the tag.
    pub(crate) length_at: u64,
}

impl Head {
    /// Parses the head at the beginning of `bytes` and removes it. `None` if it is incomplete.
    ///
    /// # Errors
    ///
    /// At the first fault, with its offset in `bytes`.
    #[inline(always)]
    pub(crate) fn take(bytes: &mut &[u8]) -> Result<Option<Self>, Malformed> {
        let at = |offset| move |fault| Malformed { offset, fault };
        let mut rest = *bytes;
        let Some(tag) = take_varint(&mut rest).map_err(at(0))? else {
            return Ok(None);
        };
        let (field, wire_type) = parse_tag(tag).map_err(at(0))?;
        let tag_end = (bytes.len() - rest.len()) as u64;
        let (value, length_at) = match wire_type {
            WireType::Varint | WireType::Len => {
                let value = take_varint(&mut rest).map_err(at(tag_end))?;
                (value, tag_end)
            }
            WireType::I64 => (Some(8), 0),
            WireType::I32 => (Some(4), 0),
        };
        Ok(value.map(|value| {
            *bytes = rest;
            Self {
                field,
                wire_type,
                value,
                length_at,
            }
        }))
    }
}

/// Parses the field at the beginning of `bytes` and removes its head and content. `None` if it is malformed or incomplete.
#[inline(always)]
pub(crate) fn take_whole<'a>(bytes: &mut &'a [u8]) -> Option<(Head, &'a [u8])> {
    let mut rest = *bytes;
    let head = Head::take(&mut rest).ok()??;
    let length = match head.wire_type {
        WireType::Varint => 0,
        WireType::I64 | WireType::Len | WireType::I32 => usize::try_from(head.value).ok()?,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some((head, content))
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Of wire type VARINT.
    Integer(u64),
    /// Of wire type LEN.
    Bytes(&'a [u8]),
}

/// Reads a message that is held whole or cut, such as one that is nested in an element: passes number and value of each complete
/// field to `visit`, and skips fields of wire types I32 and I64. Stops where the message is malformed or cut.
///
/// Returns whether all of `message` was read.
pub fn read_fields<'a>(mut message: &'a [u8], mut visit: impl FnMut(u32, Value<'a>)) -> bool {
    while let Some((head, content)) = take_whole(&mut message) {
        match head.wire_type {
            WireType::Varint => visit(head.field, Value::Integer(head.value)),
            WireType::Len => visit(head.field, Value::Bytes(content)),
            WireType::I64 | WireType::I32 => {}
        }
    }
    message.is_empty()
}

#[inline(always)]
fn parse_tag(tag: u64) -> Result<(u32, WireType), Fault> {
    let Ok(field @ 1..=MAX_FIELD) = u32::try_from(tag >> 3) else {
        return Err(Fault::Tag(tag));
    };
    let wire_type = match (tag & 7) as u8 {
        0 => WireType::Varint,
        1 => WireType::I64,
        2 => WireType::Len,
        5 => WireType::I32,
        wire_type => return Err(Fault::WireType { field, wire_type }),
    };
    Ok((field, wire_type))
}

#[inline(always)]
fn take_varint(bytes: &mut &[u8]) -> Result<Option<u64>, Fault> {
    // Fast path for nearly all tags and most lengths: without it, scanning takes a third longer.
    if let [byte @ ..0x80, ref rest @ ..] = **bytes {
        *bytes = rest;
        return Ok(Some(byte.into()));
    }
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(MAX_VARINT).enumerate() {
        // The tenth byte holds only the 64th bit.
        if index == MAX_VARINT - 1 && byte > 1 {
            return Err(Fault::Integer);
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *bytes = &bytes[index + 1..];
            return Ok(Some(value));
        }
    }
    Ok(None)
}
