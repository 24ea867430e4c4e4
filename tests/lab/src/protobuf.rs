//! Protobuf lists in every form that the protocol allows: with unknown fields, with repeated fields or fields out of order, and
//! cut into pieces.

use proptest::{collection::vec, prelude::*, sample::Index};
use prost::encoding::{DecodeContext, WireType, decode_key, encode_key, encode_varint, skip_field};

/// An encoded field: key and value.
type Field = Vec<u8>;

/// Changes to a list `{ repeated Element elements = 1; }` that the protocol allows.
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

/// The key of the list's field: number 1, length-delimited.
const ELEMENT: u8 = 0x0a;

impl Disorder {
    /// Any disorder. `unknown` has numbers of fields that neither the list nor its elements define.
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

    /// The list with these changes.
    pub fn of(&self, list: &[u8]) -> Vec<u8> {
        let mut list = fields(list);
        for (place, change) in &self.0 {
            match place {
                Place::List => change.make(&mut list),
                Place::Element(index) => {
                    let elements = list.iter_mut().filter(|field| field[0] == ELEMENT);
                    let mut elements: Vec<&mut Field> = elements.collect();
                    let length = elements.len();
                    if length > 0 {
                        let element = &mut elements[index.index(length)];
                        let mut content = fields(content(element));
                        change.make(&mut content);
                        **element = length_delimited(1, &content.concat());
                    }
                }
            }
        }
        list.concat()
    }
}

impl Change {
    fn make(&self, fields: &mut Vec<Field>) {
        let length = fields.len();
        match self {
            Self::Add(at, field) => fields.insert(at.index(length + 1), field.clone()),
            _ if length == 0 => {}
            Self::Repeat(from, to) => {
                let field = fields[from.index(length)].clone();
                fields.insert(to.index(length + 1), field);
            }
            Self::Swap(one, other) => fields.swap(one.index(length), other.index(length)),
        }
    }
}

/// The fields of an encoded message.
fn fields(mut message: &[u8]) -> Vec<Field> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let field = message;
        let (number, wire_type) = decode_key(&mut message).expect("the message is complete");
        let skipped = skip_field(wire_type, number, &mut message, DecodeContext::default());
        skipped.expect("the message is complete");
        fields.push(field[..field.len() - message.len()].to_vec());
    }
    fields
}

/// The content of an element, without its key of one byte and its length.
fn content(mut element: &[u8]) -> &[u8] {
    element = &element[1..];
    prost::decode_length_delimiter(&mut element).expect("the field is complete");
    element
}

fn length_delimited(number: u32, content: &[u8]) -> Field {
    let mut field = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut field);
    encode_varint(content.len() as u64, &mut field);
    field.extend_from_slice(content);
    field
}

/// A field of any wire type except groups.
fn field(number: impl Strategy<Value = u32> + Clone) -> impl Strategy<Value = Field> {
    let other = prop_oneof![
        any::<u64>().prop_map(|value| {
            let mut varint = Vec::new();
            encode_varint(value, &mut varint);
            (WireType::Varint, varint)
        }),
        any::<[u8; 8]>().prop_map(|value| (WireType::SixtyFourBit, value.to_vec())),
        any::<[u8; 4]>().prop_map(|value| (WireType::ThirtyTwoBit, value.to_vec())),
    ];
    prop_oneof![
        1 => (number.clone(), vec(any::<u8>(), 0..300))
            .prop_map(|(number, content)| length_delimited(number, &content)),
        3 => (number, other).prop_map(|(number, (wire_type, value))| {
            let mut field = Vec::new();
            encode_key(number, wire_type, &mut field);
            [field, value].concat()
        }),
    ]
}

/// The message in gRPC framing.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a gRPC message is shorter than 4 GiB");
    [&[0], &length.to_be_bytes()[..], message].concat()
}

/// Cuts a body into pieces with these lengths in turn. Without lengths, the body is one piece. No piece is empty.
pub fn pieces<'a>(mut body: &'a [u8], lengths: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut lengths = lengths.iter().cycle();
    std::iter::from_fn(move || {
        let length = lengths.next().map_or(body.len(), |&length| length.max(1));
        let (piece, rest) = body.split_at(length.min(body.len()));
        body = rest;
        (!piece.is_empty()).then_some(piece)
    })
}
