//! The scanner: gRPC frames, in them protobuf messages, in them the elements of field 1; whatever the chunk boundaries.

use super::{
    Received,
    fault::{Fault, Malformed},
    field::{self, Value},
};

/// The field that lists the images, in rkt's `ListImagesResponse` and in CRI's.
const IMAGES: u32 = 1;

/// Length of a frame's head: the compressed flag and a 32-bit length.
const HEAD: usize = 5;

/// Sees each element of field 1.
pub trait Visitor {
    /// A message begins, with or without elements.
    fn begin_message(&mut self) {}

    /// The element that is being read has this integer in this field (wire type VARINT).
    fn integer(&mut self, field: u32, value: u64);

    /// How many bytes of this field (wire type LEN) are wanted at most; 0 skips it unseen.
    fn wanted(&self, _field: u32) -> usize {
        0
    }

    /// The element that is being read has bytes in this field that begin with `beginning`, as long as was wanted.
    fn bytes(&mut self, _field: u32, _beginning: &[u8]) {}

    /// The element is complete; what comes next belongs to another one.
    fn end(&mut self);
}

/// Reads a body chunk by chunk in constant memory.
#[derive(Debug)]
pub struct Scanner<'v, V> {
    visitor: &'v mut V,
    /// Bytes before the part being read.
    offset: u64,
    /// Bytes before the varint that was begun last.
    varint_at: u64,
    messages: u64,
    frame: Frame,
    next: Next,
    partial: Partial,
    /// What has arrived of the bytes that are being collected; never more than the visitor wants.
    collected: Vec<u8>,
    /// Bytes left of the element being read.
    element: Option<u64>,
}

#[derive(Debug)]
enum Frame {
    Head {
        bytes: [u8; HEAD],
        have: usize,
    },
    /// Bytes left of the message.
    Message(u64),
}

/// What the next bytes of the message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Tag,
    Integer(u32),
    Length(u32),
    /// Of a field's next bytes, `wanted` are collected, then `rest` are skipped.
    Collect {
        field: u32,
        wanted: u64,
        rest: u64,
    },
    Skip(u64),
}

/// The beginning of a varint whose end has not arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Partial {
    value: u64,
    bits: u32,
}

impl<'v, V: Visitor> Scanner<'v, V> {
    /// A scanner at the beginning of a body.
    pub fn new(visitor: &'v mut V) -> Self {
        Self {
            visitor,
            offset: 0,
            varint_at: 0,
            messages: 0,
            frame: Frame::head(),
            next: Next::Tag,
            partial: Partial::default(),
            collected: Vec::new(),
            element: None,
        }
    }

    /// Reads the next bytes of the body.
    ///
    /// # Errors
    ///
    /// At the first fault; the scanner is of no use afterwards.
    pub fn feed(&mut self, mut chunk: &[u8]) -> Result<(), Malformed> {
        while !chunk.is_empty() {
            match &mut self.frame {
                Frame::Head { bytes, have } => {
                    bytes[*have] = chunk[0];
                    *have += 1;
                    chunk = &chunk[1..];
                    self.offset += 1;
                    if *have == HEAD {
                        let head = *bytes;
                        self.begin_message(head)?;
                    }
                }
                Frame::Message(left) => {
                    let length = usize::try_from(*left)
                        .unwrap_or(usize::MAX)
                        .min(chunk.len());
                    let (part, rest) = chunk.split_at(length);
                    chunk = rest;
                    self.message(part)?;
                }
            }
        }
        Ok(())
    }

    /// The body is at its end.
    ///
    /// # Errors
    ///
    /// When that is in the middle of a message.
    pub fn finish(self) -> Result<Received, Malformed> {
        match self.frame {
            Frame::Head { have: 0, .. } => Ok(Received {
                bytes: self.offset,
                messages: self.messages,
            }),
            _ => Err(self.fault(Fault::Unfinished)),
        }
    }

    fn begin_message(&mut self, head: [u8; HEAD]) -> Result<(), Malformed> {
        let [flag, length @ ..] = head;
        match flag {
            0 => {}
            1 => return Err(self.fault_of_head(Fault::Compressed)),
            other => return Err(self.fault_of_head(Fault::Flag(other))),
        }
        self.visitor.begin_message();
        self.frame = Frame::Message(u32::from_be_bytes(length).into());
        self.end_message_if_complete()
    }

    fn end_message_if_complete(&mut self) -> Result<(), Malformed> {
        if !matches!(self.frame, Frame::Message(0)) {
            return Ok(());
        }
        if self.next != Next::Tag || self.partial != Partial::default() || self.element.is_some() {
            return Err(self.fault(Fault::Split));
        }
        self.messages += 1;
        self.frame = Frame::head();
        Ok(())
    }

    /// Reads a part of a message, up to its end at most.
    fn message(&mut self, mut part: &[u8]) -> Result<(), Malformed> {
        while !part.is_empty() {
            if !self.whole_fields(&mut part) {
                self.piece(&mut part)?;
            }
            self.end_element_if_complete()?;
        }
        self.end_message_if_complete()
    }

    /// Reads the next thing in the part, as far as it has arrived.
    fn piece(&mut self, part: &mut &[u8]) -> Result<(), Malformed> {
        match self.next {
            Next::Skip(left) => {
                let skipped = self.take(part, left).len() as u64;
                self.next = skip(left - skipped);
            }
            Next::Collect {
                field,
                wanted,
                rest,
            } => self.collect(part, field, wanted, rest),
            Next::Tag | Next::Integer(_) | Next::Length(_) => {
                if let Some(value) = self.varint(part)? {
                    self.value(value)?;
                }
            }
        }
        Ok(())
    }

    /// Reads the fields that have arrived whole, and says whether there were any. What has not, or is not as it should be, is
    /// left to be read piece by piece.
    fn whole_fields(&mut self, part: &mut &[u8]) -> bool {
        if self.next != Next::Tag || self.partial != Partial::default() {
            return false;
        }
        let available = self.available(part);
        let mut rest = &part[..available];
        let mut begun = None;
        if self.element.is_some() {
            self.whole_fields_of_element(&mut rest);
        } else {
            while let Some((number, value)) = field::take(&mut rest) {
                let (IMAGES, Value::Bytes(mut element)) = (number, value) else {
                    continue;
                };
                self.whole_fields_of_element(&mut element);
                if !element.is_empty() {
                    begun = Some(element.len());
                    break;
                }
                self.visitor.end();
            }
        }
        let read = available - rest.len() - begun.unwrap_or(0);
        *part = &part[read..];
        self.consume(read as u64);
        if let Some(left) = begun {
            self.element = Some(left as u64);
        }
        read > 0
    }

    fn whole_fields_of_element(&mut self, element: &mut &[u8]) {
        while let Some((field, value)) = field::take(element) {
            match value {
                Value::Integer(value) => self.visitor.integer(field, value),
                Value::Bytes(bytes) => {
                    let wanted = bytes.len().min(self.visitor.wanted(field));
                    if wanted > 0 || bytes.is_empty() {
                        self.visitor.bytes(field, &bytes[..wanted]);
                    }
                }
                Value::Fixed => {}
            }
        }
    }

    fn value(&mut self, value: u64) -> Result<(), Malformed> {
        self.next = match self.next {
            Next::Tag => self.tag(value)?,
            Next::Integer(field) => {
                if self.element.is_some() {
                    self.visitor.integer(field, value);
                }
                Next::Tag
            }
            Next::Length(field) if value > self.left() => {
                return Err(self.fault_of_varint(Fault::Overrun { field }));
            }
            Next::Length(IMAGES) if self.element.is_none() => {
                self.element = Some(value);
                Next::Tag
            }
            Next::Length(field) if self.element.is_some() => self.bytes(field, value),
            Next::Length(_) | Next::Collect { .. } | Next::Skip(_) => skip(value),
        };
        Ok(())
    }

    /// A field of an element, `length` bytes long.
    fn bytes(&mut self, field: u32, length: u64) -> Next {
        let wanted = length.min(self.visitor.wanted(field) as u64);
        if wanted > 0 {
            return Next::Collect {
                field,
                wanted,
                rest: length - wanted,
            };
        }
        if length == 0 {
            self.visitor.bytes(field, &[]);
        }
        skip(length)
    }

    /// Hands over bytes that have arrived as a whole without a copy.
    fn collect(&mut self, part: &mut &[u8], field: u32, wanted: u64, rest: u64) {
        let arrived = self.take(part, wanted);
        let missing = wanted - arrived.len() as u64;
        if missing > 0 {
            self.collected.extend_from_slice(arrived);
            self.next = Next::Collect {
                field,
                wanted: missing,
                rest,
            };
            return;
        }
        if self.collected.is_empty() {
            self.visitor.bytes(field, arrived);
        } else {
            self.collected.extend_from_slice(arrived);
            self.visitor.bytes(field, &self.collected);
            self.collected.clear();
        }
        self.next = skip(rest);
    }

    /// Consumes up to `limit` bytes of the part.
    fn take<'a>(&mut self, part: &mut &'a [u8], limit: u64) -> &'a [u8] {
        let length = usize::try_from(limit).unwrap_or(usize::MAX).min(part.len());
        let (taken, rest) = part.split_at(length);
        *part = rest;
        self.consume(length as u64);
        taken
    }

    fn tag(&mut self, tag: u64) -> Result<Next, Malformed> {
        let Ok(field @ 1..) = u32::try_from(tag >> 3) else {
            return Err(self.fault_of_varint(Fault::Tag(tag)));
        };
        if field >= 1 << 29 {
            return Err(self.fault_of_varint(Fault::Tag(tag)));
        }
        match (tag & 7) as u8 {
            0 => Ok(Next::Integer(field)),
            1 => self.fixed(field, 8),
            2 => Ok(Next::Length(field)),
            5 => self.fixed(field, 4),
            wire_type => Err(self.fault_of_varint(Fault::WireType { field, wire_type })),
        }
    }

    fn fixed(&self, field: u32, length: u64) -> Result<Next, Malformed> {
        if length > self.left() {
            return Err(self.fault_of_varint(Fault::Overrun { field }));
        }
        Ok(skip(length))
    }

    fn end_element_if_complete(&mut self) -> Result<(), Malformed> {
        if self.element != Some(0) {
            return Ok(());
        }
        if self.next != Next::Tag || self.partial != Partial::default() {
            return Err(self.fault(Fault::Split));
        }
        self.element = None;
        self.visitor.end();
        Ok(())
    }

    /// The next varint, or `None` when its end is in a later part.
    fn varint(&mut self, part: &mut &[u8]) -> Result<Option<u64>, Malformed> {
        let available = self.available(part);
        if self.partial == Partial::default() {
            self.varint_at = self.offset;
        }
        let Partial {
            mut value,
            mut bits,
        } = self.partial;
        for (index, &byte) in part[..available].iter().enumerate() {
            // The tenth byte holds the 64th bit and no other.
            if bits == 63 && byte > 1 {
                return Err(self.fault_of_varint(Fault::Integer));
            }
            value |= u64::from(byte & 0x7f) << bits;
            if byte < 0x80 {
                *part = &part[index + 1..];
                self.consume(index as u64 + 1);
                self.partial = Partial::default();
                return Ok(Some(value));
            }
            bits += 7;
        }
        *part = &part[available..];
        self.consume(available as u64);
        self.partial = Partial { value, bits };
        Ok(None)
    }

    /// Bytes of the part that belong to the element, or to the message outside one.
    fn available(&self, part: &[u8]) -> usize {
        usize::try_from(self.left()).map_or(part.len(), |left| left.min(part.len()))
    }

    /// Bytes left of the element, or of the message outside one.
    fn left(&self) -> u64 {
        match (self.element, &self.frame) {
            (Some(left), _) | (None, &Frame::Message(left)) => left,
            (None, &Frame::Head { .. }) => 0,
        }
    }

    fn consume(&mut self, bytes: u64) {
        self.offset += bytes;
        if let Frame::Message(left) = &mut self.frame {
            *left -= bytes;
        }
        if let Some(left) = &mut self.element {
            *left -= bytes;
        }
    }

    fn fault(&self, fault: Fault) -> Malformed {
        let offset = self.offset;
        Malformed { offset, fault }
    }

    /// Of the frame's head that has just been read.
    fn fault_of_head(&self, fault: Fault) -> Malformed {
        let offset = self.offset - HEAD as u64;
        Malformed { offset, fault }
    }

    /// Of the varint that has just been read, or is being read.
    fn fault_of_varint(&self, fault: Fault) -> Malformed {
        let offset = self.varint_at;
        Malformed { offset, fault }
    }
}

impl Frame {
    fn head() -> Self {
        Self::Head {
            bytes: [0; HEAD],
            have: 0,
        }
    }
}

fn skip(bytes: u64) -> Next {
    match bytes {
        0 => Next::Tag,
        bytes => Next::Skip(bytes),
    }
}
