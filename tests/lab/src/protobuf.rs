//! Protobuf messages by hand: taken apart into fields, disordered as any sender may, put together, and cut into pieces.

use proptest::{collection::vec, prelude::*, sample::Index};

/// A message as a list of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message(pub Vec<Field>);

/// A field, known or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// From 1 to 2^29 - 1.
    pub number: u32,
    /// What it holds.
    pub value: Value,
}

/// The wire types but groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// VARINT
    Varint(u64),
    /// I64
    I64([u8; 8]),
    /// LEN
    Len(Vec<u8>),
    /// I32
    I32([u8; 4]),
}

impl Message {
    /// Takes an encoded message apart. Panics when it is none, or holds groups.
    pub fn parse(mut bytes: &[u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            fields.push(Field::take(&mut bytes));
        }
        Self(fields)
    }

    /// The message on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for Field { number, value } in &self.0 {
            let (wire_type, content): (_, &[u8]) = match value {
                Value::Varint(_) => (0, &[]),
                Value::I64(content) => (1, content),
                Value::Len(content) => (2, content),
                Value::I32(content) => (5, content),
            };
            put_varint(u64::from(*number) << 3 | wire_type, &mut bytes);
            match value {
                Value::Varint(value) => put_varint(*value, &mut bytes),
                Value::Len(content) => put_varint(content.len() as u64, &mut bytes),
                Value::I64(_) | Value::I32(_) => {}
            }
            bytes.extend_from_slice(content);
        }
        bytes
    }
}

impl Field {
    fn take(bytes: &mut &[u8]) -> Self {
        let tag = take_varint(bytes);
        let value = match tag & 7 {
            0 => Value::Varint(take_varint(bytes)),
            1 => Value::I64(take_chunk(bytes)),
            2 => {
                let length = take_varint(bytes) as usize;
                let (content, rest) = bytes.split_at(length);
                *bytes = rest;
                Value::Len(content.to_vec())
            }
            5 => Value::I32(take_chunk(bytes)),
            wire_type => panic!("wire type {wire_type}"),
        };
        Self {
            number: (tag >> 3) as u32,
            value,
        }
    }
}

fn take_chunk<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let (chunk, rest) = bytes.split_first_chunk().expect("the field is whole");
    *bytes = rest;
    *chunk
}

fn take_varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (&byte, rest) = bytes.split_first().expect("the varint is whole");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn put_varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// What a sender may do to a list `{ repeated Element elements = 1; }` without breaking the protocol.
#[derive(Clone, Debug)]
pub struct Disorder(Vec<(Place, Change)>);

#[derive(Clone, Debug)]
enum Place {
    List,
    Element(Index),
}

#[derive(Clone, Debug)]
enum Change {
    /// A field of a later version of the protocol.
    Add(Index, Field),
    /// A field sent twice.
    Repeat(Index, Index),
    /// Fields out of order.
    Swap(Index, Index),
}

/// The number of the list's field.
const ELEMENTS: u32 = 1;

impl Disorder {
    /// Any disorder, with the given numbers of fields that neither the list nor its elements know.
    pub fn any(
        unknown: impl Strategy<Value = u32> + Clone + 'static,
    ) -> impl Strategy<Value = Self> {
        let place = prop_oneof![
            1 => Just(Place::List),
            3 => any::<Index>().prop_map(Place::Element),
        ];
        let change = prop_oneof![
            (any::<Index>(), field(unknown)).prop_map(|(at, field)| Change::Add(at, field)),
            any::<(Index, Index)>().prop_map(|(from, to)| Change::Repeat(from, to)),
            any::<(Index, Index)>().prop_map(|(one, other)| Change::Swap(one, other)),
        ];
        vec((place, change), 0..12).prop_map(Self)
    }

    /// The list, encoded again after the disorder.
    pub fn of(&self, list: &[u8]) -> Vec<u8> {
        let mut list = Message::parse(list);
        for (place, change) in &self.0 {
            match place {
                Place::List => change.make(&mut list),
                Place::Element(index) => {
                    let mut elements: Vec<&mut Vec<u8>> = list
                        .0
                        .iter_mut()
                        .filter_map(|field| match &mut field.value {
                            Value::Len(content) if field.number == ELEMENTS => Some(content),
                            _ => None,
                        })
                        .collect();
                    let length = elements.len();
                    if length > 0 {
                        let content = &mut elements[index.index(length)];
                        let mut element = Message::parse(content);
                        change.make(&mut element);
                        **content = element.encode();
                    }
                }
            }
        }
        list.encode()
    }
}

impl Change {
    fn make(&self, Message(fields): &mut Message) {
        let length = fields.len();
        match self {
            Self::Add(at, field) => fields.insert(at.index(length + 1), field.clone()),
            _ if length == 0 => {}
            Self::Repeat(from, to) => {
                let field = fields[from.index(length)].clone();
                fields.insert(to.index(length + 1), field);
            }
            Self::Swap(one, other) => {
                fields.swap(one.index(length), other.index(length));
            }
        }
    }
}

fn field(number: impl Strategy<Value = u32>) -> impl Strategy<Value = Field> {
    let value = prop_oneof![
        any::<u64>().prop_map(Value::Varint),
        any::<[u8; 8]>().prop_map(Value::I64),
        vec(any::<u8>(), 0..300).prop_map(Value::Len),
        any::<[u8; 4]>().prop_map(Value::I32),
    ];
    (number, value).prop_map(|(number, value)| Field { number, value })
}

/// The message in gRPC's framing.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a gRPC message is shorter than 4 GiB");
    [&[0], &length.to_be_bytes()[..], message].concat()
}

/// Cuts a body into pieces of these lengths, in turn; whole when there is no length. No piece is empty.
pub fn pieces<'a>(mut body: &'a [u8], lengths: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut lengths = lengths.iter().cycle();
    std::iter::from_fn(move || {
        let length = lengths.next().map_or(body.len(), |&length| length.max(1));
        let (piece, rest) = body.split_at(length.min(body.len()));
        body = rest;
        (!piece.is_empty()).then_some(piece)
    })
}
