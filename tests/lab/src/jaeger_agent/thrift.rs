//! Reads the Thrift compact protocol, from Apache Thrift's `doc/specs/thrift-compact-protocol.md`.
//!
//! The reader trusts nothing: a length is compared with the bytes that are left before it is
//! believed, nesting has a limit, and every error says at which byte the datagram went wrong.

use std::collections::BTreeSet;
use std::fmt;

mod base_types;

/// How deep values that nobody asked for may be nested before they are refused.
const MAX_DEPTH: usize = 32;

/// Why a datagram is not what a Jaeger client may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// Where in the datagram, in bytes from its start.
    pub offset: usize,
    /// What is wrong there.
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
pub(super) enum Kind {
    True,
    False,
    I8,
    I16,
    I32,
    I64,
    Double,
    Binary,
    List,
    Set,
    Map,
    Struct,
    Uuid,
}

impl Kind {
    fn from_nibble(nibble: u8) -> Option<Self> {
        Some(match nibble {
            1 => Self::True,
            2 => Self::False,
            3 => Self::I8,
            4 => Self::I16,
            5 => Self::I32,
            6 => Self::I64,
            7 => Self::Double,
            8 => Self::Binary,
            9 => Self::List,
            10 => Self::Set,
            11 => Self::Map,
            12 => Self::Struct,
            13 => Self::Uuid,
            _ => return None,
        })
    }
}

/// A field's header: its value is what comes next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    owner: &'static str,
    at: usize,
    pub(super) id: i16,
    pub(super) kind: Kind,
}

impl Field {
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

/// The header of a message: which call, of which type, and its sequence id.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) name: String,
    pub(super) kind: u8,
    pub(super) sequence: i32,
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

    /// An error at the byte that would be read next.
    pub(super) fn error(&self, why: impl Into<String>) -> DecodeError {
        error(self.at, why)
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Nothing may follow the message in its datagram.
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
        let sequence = self.varint(32)? as u32;
        Ok(Message {
            kind: kind_and_version >> 5,
            sequence: sequence.cast_signed(),
            name: self.text()?,
        })
    }

    /// Calls `read` for each field of a struct, until its stop field.
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
                    format!("field {} of {owner} comes twice", field.id),
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

    pub(super) fn binary(&mut self, field: Field) -> Result<Vec<u8>, DecodeError> {
        field.expect(Kind::Binary)?;
        Ok(self.blob()?.to_vec())
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

    /// Steps over the value of a field that the reader doesn't know.
    pub(super) fn skip(&mut self, field: Field) -> Result<(), DecodeError> {
        match field.kind {
            Kind::True | Kind::False => Ok(()),
            kind => self.skip_value(kind, MAX_DEPTH),
        }
    }

    /// Steps over a value in a container, where a boolean is a byte.
    fn skip_value(&mut self, kind: Kind, depth: usize) -> Result<(), DecodeError> {
        let inner = depth
            .checked_sub(1)
            .ok_or_else(|| self.error("values are nested too deep"))?;
        match kind {
            Kind::True | Kind::False | Kind::I8 => self.take(1).map(drop),
            Kind::I16 | Kind::I32 => self.varint(32).map(drop),
            Kind::I64 => self.varint(64).map(drop),
            Kind::Double => self.take(8).map(drop),
            Kind::Uuid => self.take(16).map(drop),
            Kind::Binary => self.blob().map(drop),
            Kind::List | Kind::Set => {
                let (kind, size) = self.list_header()?;
                (0..size).try_for_each(|_| self.skip_value(kind, inner))
            }
            Kind::Map => self.skip_map(inner),
            Kind::Struct => self.structure("an unknown struct", |reader, field| match field.kind {
                Kind::True | Kind::False => Ok(()),
                kind => reader.skip_value(kind, inner),
            }),
        }
    }

    fn skip_map(&mut self, depth: usize) -> Result<(), DecodeError> {
        let size = self.length()?;
        if size == 0 {
            return Ok(());
        }
        let at = self.at;
        let kinds = self.byte()?;
        let (key, value) = (kind_at(at, kinds >> 4)?, kind_at(at, kinds & 0x0f)?);
        (0..size).try_for_each(|_| {
            self.skip_value(key, depth)?;
            self.skip_value(value, depth)
        })
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
    Kind::from_nibble(nibble).ok_or_else(|| error(offset, format!("type {nibble} does not exist")))
}

fn error(offset: usize, why: impl Into<String>) -> DecodeError {
    DecodeError {
        offset,
        why: why.into(),
    }
}
