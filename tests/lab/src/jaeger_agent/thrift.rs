//! Decodes the Thrift compact protocol, as specified in Apache Thrift's `doc/specs/thrift-compact-protocol.md`.
//!
//! It supports the types that a Jaeger client uses. It checks every length against the number of bytes left, and every error has
//! the offset of the offending byte.

use std::collections::BTreeSet;
use std::fmt;

mod base_types;

/// Why a datagram is not what a Jaeger client may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// The offset in the datagram, in bytes.
    pub offset: usize,
    /// The fault.
    pub why: String,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.offset, self.why)
    }
}

impl std::error::Error for DecodeError {}

/// A type on the wire. A boolean field carries its value in its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    True,
    False,
    I32,
    I64,
    Double,
    Binary,
    List,
    Struct,
}

impl Kind {
    fn from_nibble(nibble: u8) -> Option<Self> {
        Some(match nibble {
            1 => Self::True,
            2 => Self::False,
            5 => Self::I32,
            6 => Self::I64,
            7 => Self::Double,
            8 => Self::Binary,
            9 => Self::List,
            12 => Self::Struct,
            _ => return None,
        })
    }
}

/// A field's header. The field's value follows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    owner: &'static str,
    at: usize,
    pub(super) id: i16,
    kind: Kind,
}

impl Field {
    pub(super) fn unknown(&self) -> DecodeError {
        let Self { owner, at, id, .. } = *self;
        error(at, format!("field {id} of {owner} is not expected"))
    }

    fn expect(&self, wanted: Kind) -> Result<(), DecodeError> {
        if self.kind == wanted {
            return Ok(());
        }
        let Self {
            owner, id, kind, ..
        } = self;
        Err(error(
            self.at,
            format!("field {id} of {owner} is {kind:?}, not {wanted:?}"),
        ))
    }
}

/// The header of a message: the name and type of a call.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) name: String,
    pub(super) kind: u8,
}

/// A position in a datagram.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// An error at the next byte.
    pub(super) fn error(&self, why: impl Into<String>) -> DecodeError {
        error(self.at, why)
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Checks that nothing follows the message in its datagram.
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        match self.left() {
            0 => Ok(()),
            left => Err(self.error(format!("{left} bytes follow the message"))),
        }
    }

    pub(super) fn message(&mut self) -> Result<Message, DecodeError> {
        let protocol = self.byte()?;
        if protocol != 0x82 {
            return Err(error(0, format!("protocol id {protocol:#04x}, not 0x82")));
        }
        let kind_and_version = self.byte()?;
        if kind_and_version & 0x1f != 1 {
            return Err(error(
                1,
                format!("version {}, not 1", kind_and_version & 0x1f),
            ));
        }
        let _sequence = self.varint(32)?;
        Ok(Message {
            kind: kind_and_version >> 5,
            name: self.text()?,
        })
    }

    /// Calls `read` for each field of a struct, up to the stop field.
    pub(super) fn structure(
        &mut self,
        owner: &'static str,
        mut read: impl FnMut(&mut Self, Field) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut seen = BTreeSet::new();
        let mut last = 0;
        while let Some(field) = self.field(owner, last)? {
            if !seen.insert(field.id) {
                return Err(error(
                    field.at,
                    format!("field {} of {owner} appears twice", field.id),
                ));
            }
            last = field.id;
            read(self, field)?;
        }
        Ok(())
    }

    fn field(&mut self, owner: &'static str, last: i16) -> Result<Option<Field>, DecodeError> {
        let at = self.at;
        let header = self.byte()?;
        if header == 0 {
            return Ok(None);
        }
        let kind = kind_at(at, header & 0x0f)?;
        let id = match header >> 4 {
            0 => i16::try_from(self.zigzag(32)?).ok(),
            delta => last.checked_add(i16::from(delta)),
        };
        let id = id.ok_or_else(|| error(at, format!("a field id of {owner} is out of range")))?;
        Ok(Some(Field {
            owner,
            at,
            id,
            kind,
        }))
    }

    pub(super) fn bool(&self, field: Field) -> Result<bool, DecodeError> {
        match field.kind {
            Kind::True => Ok(true),
            _ => field.expect(Kind::False).map(|()| false),
        }
    }

    pub(super) fn i32(&mut self, field: Field) -> Result<i32, DecodeError> {
        field.expect(Kind::I32)?;
        Ok(self.zigzag(32)? as i32)
    }

    pub(super) fn i64(&mut self, field: Field) -> Result<i64, DecodeError> {
        field.expect(Kind::I64)?;
        self.zigzag(64)
    }

    pub(super) fn double(&mut self, field: Field) -> Result<f64, DecodeError> {
        field.expect(Kind::Double)?;
        let bytes = self.take(8)?.try_into().expect("eight bytes were taken");
        Ok(f64::from_le_bytes(bytes))
    }

    pub(super) fn string(&mut self, field: Field) -> Result<String, DecodeError> {
        field.expect(Kind::Binary)?;
        self.text()
    }

    /// A list of structs, each read by `read`.
    pub(super) fn structs<T>(
        &mut self,
        field: Field,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        field.expect(Kind::List)?;
        let at = self.at;
        let (kind, size) = self.list_header()?;
        if kind != Kind::Struct {
            return Err(error(at, format!("a list of {kind:?}, not of Struct")));
        }
        let mut items = Vec::new();
        for _ in 0..size {
            items.push(read(self)?);
        }
        Ok(items)
    }

    pub(super) fn nested(&self, field: Field) -> Result<(), DecodeError> {
        field.expect(Kind::Struct)
    }

    fn list_header(&mut self) -> Result<(Kind, usize), DecodeError> {
        let at = self.at;
        let header = self.byte()?;
        let kind = kind_at(at, header & 0x0f)?;
        let size = match header >> 4 {
            15 => self.length()?,
            short => usize::from(short),
        };
        Ok((kind, size))
    }
}

fn kind_at(offset: usize, nibble: u8) -> Result<Kind, DecodeError> {
    Kind::from_nibble(nibble).ok_or_else(|| error(offset, format!("type {nibble} is not expected")))
}

fn error(offset: usize, why: impl Into<String>) -> DecodeError {
    DecodeError {
        offset,
        why: why.into(),
    }
}
