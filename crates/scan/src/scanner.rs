//! The scanner: parses gRPC frames, the protobuf messages in them, and their elements of field 1, with any chunk boundaries.

use crate::{
    Fault, Malformed, Visitor,
    field::{Head, MAX_HEAD, WireType, take_whole},
};

/// The field that lists the elements.
const ELEMENTS: u32 = 1;

/// Length of a frame's head: the compressed flag and a 32-bit length.
const FRAME_HEAD: usize = 5;

/// Reads a body chunk by chunk in constant memory.
#[derive(Debug)]
pub struct Scanner<'v, V> {
    visitor: &'v mut V,
    /// Bytes read so far.
    offset: u64,
    messages: u64,
    /// Offset of the current message's end; `None` inside a frame head.
    message_end: Option<u64>,
    /// Offset of the current element's end, if there is one.
    element_end: Option<u64>,
    content: Content,
    /// An incomplete head, or incomplete wanted content.
    held: Vec<u8>,
}

/// The content of the current field; it ends at offset `end`.
#[derive(Debug, Default)]
struct Content {
    field: u32,
    /// Bytes to pass to the visitor; the others are skipped.
    wanted: usize,
    end: u64,
}

/// Totals of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the body, including gRPC framing.
    pub bytes: u64,
    /// Messages in the body.
    pub messages: u64,
}

impl<'v, V: Visitor> Scanner<'v, V> {
    /// A scanner at the beginning of a body.
    pub fn new(visitor: &'v mut V) -> Self {
        Self {
            visitor,
            offset: 0,
            messages: 0,
            message_end: None,
            element_end: None,
            content: Content::default(),
            held: Vec::new(),
        }
    }

    /// Reads the next bytes of the body.
    ///
    /// # Errors
    ///
    /// At the first fault. The scanner must not be used after an error.
    pub fn feed(&mut self, mut chunk: &[u8]) -> Result<(), Malformed> {
        while !chunk.is_empty() {
            if self.message_end.is_none() {
                self.frame_head(&mut chunk)?;
            } else if self.content.end > self.offset {
                self.content(&mut chunk);
            } else if !self.whole_fields(&mut chunk) {
                self.head(&mut chunk)?;
            }
            self.end()?;
        }
        Ok(())
    }

    /// Ends the body.
    ///
    /// # Errors
    ///
    /// If the body ends in the middle of a message.
    pub fn finish(self) -> Result<Received, Malformed> {
        if self.message_end.is_some() || !self.held.is_empty() {
            return Err(self.fault(Fault::Unfinished));
        }
        Ok(Received {
            bytes: self.offset,
            messages: self.messages,
        })
    }

    fn frame_head(&mut self, chunk: &mut &[u8]) -> Result<(), Malformed> {
        self.hold(chunk, FRAME_HEAD);
        let &[flag, a, b, c, d] = &self.held[..] else {
            return Ok(());
        };
        let fault = match flag {
            0 => None,
            1 => Some(Fault::Compressed),
            other => Some(Fault::Flag(other)),
        };
        if let Some(fault) = fault {
            let offset = self.offset - FRAME_HEAD as u64;
            return Err(Malformed { offset, fault });
        }
        self.held.clear();
        self.message_end = Some(self.offset + u64::from(u32::from_be_bytes([a, b, c, d])));
        Ok(())
    }

    /// Reads the fields that are complete in this chunk, and returns whether there were any. [`Self::head`] handles incomplete
    /// and malformed fields.
    fn whole_fields(&mut self, chunk: &mut &[u8]) -> bool {
        if !self.held.is_empty() {
            return false;
        }
        let available = self.available(chunk);
        let mut rest = &chunk[..available];
        let mut left_of_element = 0;
        if self.element_end.is_some() {
            self.whole_fields_of_element(&mut rest);
        } else {
            while let Some((head, mut content)) = take_whole(&mut rest) {
                if !is_element(head) {
                    continue;
                }
                self.whole_fields_of_element(&mut content);
                left_of_element = content.len();
                if left_of_element > 0 {
                    break;
                }
                self.visitor.end();
            }
        }
        let read = available - rest.len() - left_of_element;
        self.take(chunk, read as u64);
        if left_of_element > 0 {
            self.element_end = Some(self.offset + left_of_element as u64);
        }
        read > 0
    }

    fn whole_fields_of_element(&mut self, element: &mut &[u8]) {
        while let Some((head, content)) = take_whole(element) {
            match head.wire_type {
                WireType::Varint => self.visitor.integer(head.field, head.value),
                WireType::Len => {
                    let wanted = content.len().min(self.visitor.wanted(head.field));
                    if wanted > 0 || content.is_empty() {
                        self.visitor.bytes(head.field, &content[..wanted]);
                    }
                }
                WireType::I64 | WireType::I32 => {}
            }
        }
    }

    /// Reads a field's head, or buffers its beginning if it is incomplete.
    fn head(&mut self, chunk: &mut &[u8]) -> Result<(), Malformed> {
        let already_held = self.held.len();
        let begin = self.offset - already_held as u64;
        let arrived = self.available(chunk).min(MAX_HEAD - already_held);
        self.held.extend_from_slice(&chunk[..arrived]);
        let mut rest = &self.held[..];
        let Some(head) = Head::take(&mut rest).map_err(|fault| fault.offset_by(begin))? else {
            self.take(chunk, arrived as u64);
            return Ok(());
        };
        let read = self.held.len() - rest.len() - already_held;
        self.held.clear();
        self.take(chunk, read as u64);
        self.value(head).map_err(|fault| fault.offset_by(begin))
    }

    fn value(&mut self, head: Head) -> Result<(), Malformed> {
        let Head { field, value, .. } = head;
        let in_element = self.element_end.is_some();
        if head.wire_type == WireType::Varint {
            if in_element {
                self.visitor.integer(field, value);
            }
            return Ok(());
        }
        if value > self.left() {
            return Err(Malformed {
                offset: head.length_at,
                fault: Fault::Overrun { field },
            });
        }
        let end = self.offset + value;
        if !in_element && is_element(head) {
            self.element_end = Some(end);
            return Ok(());
        }
        let mut wanted = 0;
        if in_element && head.wire_type == WireType::Len {
            let most = usize::try_from(value).unwrap_or(usize::MAX);
            wanted = most.min(self.visitor.wanted(field));
            if value == 0 {
                self.visitor.bytes(field, &[]);
            }
        }
        self.content = Content { field, wanted, end };
        Ok(())
    }

    fn content(&mut self, chunk: &mut &[u8]) {
        let Content { field, wanted, end } = self.content;
        if wanted == 0 {
            self.take(chunk, end - self.offset);
            return;
        }
        self.hold(chunk, wanted);
        if self.held.len() == wanted {
            self.visitor.bytes(field, &self.held);
            self.held.clear();
            self.content.wanted = 0;
        }
    }

    /// Ends the element and the message whose last byte has been read.
    fn end(&mut self) -> Result<(), Malformed> {
        let here = Some(self.offset);
        let (element, message) = (self.element_end == here, self.message_end == here);
        if (element || message) && !self.held.is_empty() {
            return Err(self.fault(Fault::Split));
        }
        if element {
            self.element_end = None;
            self.visitor.end();
        }
        if message {
            self.message_end = None;
            self.messages += 1;
        }
        Ok(())
    }

    /// Takes bytes from the chunk until `length` bytes are buffered.
    fn hold(&mut self, chunk: &mut &[u8], length: usize) {
        let arrived = self.take(chunk, (length - self.held.len()) as u64);
        self.held.extend_from_slice(arrived);
    }

    /// Takes up to `limit` bytes from the chunk.
    fn take<'a>(&mut self, chunk: &mut &'a [u8], limit: u64) -> &'a [u8] {
        let length = usize::try_from(limit).map_or(chunk.len(), |limit| limit.min(chunk.len()));
        let (taken, rest) = chunk.split_at(length);
        *chunk = rest;
        self.offset += length as u64;
        taken
    }

    /// The number of bytes in the chunk that belong to the current element, or outside of elements to the message.
    fn available(&self, chunk: &[u8]) -> usize {
        usize::try_from(self.left()).map_or(chunk.len(), |left| left.min(chunk.len()))
    }

    /// Bytes left in the current element, or outside of elements in the message.
    fn left(&self) -> u64 {
        let end = self.element_end.or(self.message_end);
        end.map_or(0, |end| end - self.offset)
    }

    fn fault(&self, fault: Fault) -> Malformed {
        let offset = self.offset;
        Malformed { offset, fault }
    }
}

fn is_element(head: Head) -> bool {
    head.field == ELEMENTS && head.wire_type == WireType::Len
}
