//! The scanner with malformed and with arbitrary bytes. The tests of the visitors in src/images compare it with prost.

use lab::{
    protobuf::{framed, pieces},
    rkt_api_service::v1alpha::{Image, ListImagesResponse},
};
use proptest::{collection::vec, prelude::*};
use prost::Message;
use scan::{Fault, Malformed, Received, Scanner, Value, Visitor, read_fields};

/// Records every call; wants a few bytes of each field.
#[derive(Debug, Default, PartialEq)]
struct Recorder(Vec<Call>);

#[derive(Debug, PartialEq)]
enum Call {
    Integer(u32, u64),
    Bytes(u32, Vec<u8>),
    End,
}

impl Visitor for Recorder {
    fn integer(&mut self, field: u32, value: u64) {
        self.0.push(Call::Integer(field, value));
    }

    fn wanted(&self, _field: u32) -> usize {
        4
    }

    fn bytes(&mut self, field: u32, beginning: &[u8]) {
        self.0.push(Call::Bytes(field, beginning.to_vec()));
    }

    fn end(&mut self) {
        self.0.push(Call::End);
    }
}

fn read<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Call>, Result<Received, Malformed>) {
    let mut recorder = Recorder::default();
    let mut scanner = Scanner::new(&mut recorder);
    let fed = pieces.into_iter().try_for_each(|piece| scanner.feed(piece));
    let end = fed.and_then(|()| scanner.finish());
    (recorder.0, end)
}

/// The fault of a body and its offset, which must not depend on where the body is split.
fn fault(body: &[u8]) -> (Fault, u64) {
    let (_, end) = read([body]);
    let Malformed { fault, offset } = end.unwrap_err();
    assert_eq!(read(body.chunks(1)).1, end, "byte by byte");
    (fault, offset)
}

fn three_images() -> Vec<u8> {
    let image = |ordinal: i64| Image {
        id: format!("sha512-{ordinal:064}"),
        name: "example.org/service".into(),
        version: "1.0.0".into(),
        import_timestamp: 1_500_000_000 + ordinal,
        size: -ordinal,
        ..Image::default()
    };
    let images = (1..=3).map(image).collect();
    ListImagesResponse { images }.encode_to_vec()
}

#[test]
fn an_answer_cut_short_anywhere_is_unfinished() {
    let body = framed(&three_images());
    for length in 1..body.len() {
        let expected = (Fault::Unfinished, length as u64);
        assert_eq!(fault(&body[..length]), expected);
    }
}

#[test]
fn a_message_cut_short_anywhere_is_refused_unless_prost_takes_it_too() {
    let list = three_images();
    let mut taken = 0;
    for length in 0..list.len() {
        let message = &list[..length];
        let (calls, end) = read([&framed(message)[..]]);
        match ListImagesResponse::decode(message) {
            Ok(response) => {
                assert!(end.is_ok(), "cut after {length}: {end:?}");
                let ends = calls.iter().filter(|call| **call == Call::End).count();
                assert_eq!(ends, response.images.len());
                taken += 1;
            }
            Err(_) => assert!(
                matches!(
                    end,
                    Err(Malformed {
                        fault: Fault::Split | Fault::Overrun { .. },
                        ..
                    })
                ),
                "cut after {length}: {end:?}"
            ),
        }
    }
    assert_eq!(
        taken, 3,
        "prost accepts a cut before each of the three images"
    );
}

#[test]
fn a_fault_is_reported_with_its_offset() {
    let message = |bytes: &[u8]| fault(&framed(bytes));
    assert_eq!(fault(b"\x01\0\0\0\0"), (Fault::Compressed, 0));
    assert_eq!(fault(b"\x09\0\0\0\0"), (Fault::Flag(9), 0));
    assert_eq!(fault(b"\0\0\0\0\0\x09\0\0\0\0"), (Fault::Flag(9), 5));
    assert_eq!(message(b"\x00\x00"), (Fault::Tag(0), 5));
    assert_eq!(
        message(b"\x80\x80\x80\x80\x10\x00"),
        (Fault::Tag(1 << 32), 5)
    );
    let group = Fault::WireType {
        field: 2,
        wire_type: 3,
    };
    assert_eq!(message(b"\x0a\x02\x13\x14"), (group, 7));
    assert_eq!(
        message(b"\x0a\x05\x12\x09sha"),
        (Fault::Overrun { field: 2 }, 8)
    );
    assert_eq!(message(b"\x12\x80\x02"), (Fault::Overrun { field: 2 }, 6));
    assert_eq!(
        message(b"\x0a\x04\x1d\0\0\0"),
        (Fault::Overrun { field: 3 }, 7)
    );
    assert_eq!(message(b"\x19\0"), (Fault::Overrun { field: 3 }, 5));
    assert_eq!(
        message(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
        (Fault::Integer, 6)
    );
    assert_eq!(message(b"\x0a\x01\xa0"), (Fault::Split, 8));
    assert_eq!(fault(b"\0\0\0\0\x02\x08"), (Fault::Unfinished, 6));
}

#[test]
fn a_visitor_sees_varints_and_bytes_and_their_heads_may_be_padded() {
    let padded = |byte: u8| [&[byte | 0x80], &[0x80; 8][..], &[0]].concat();
    let fields = b"\x08\xac\x02\x11\0\0\0\0\0\0\0\0\x1a\x00\x25\0\0\0\0\x2a\x05names";
    let element = [&fields[..], &padded(0x32), &padded(2), b"ab"].concat();
    let list = [&[0x0a, element.len() as u8], &element[..], b"\x10\x01"].concat();
    let bytes = |field, bytes: &[u8]| Call::Bytes(field, bytes.to_vec());
    let expected = [
        Call::Integer(1, 300),
        bytes(3, b""),
        bytes(5, b"name"),
        bytes(6, b"ab"),
        Call::End,
    ];
    let body = framed(&list);
    for length in [1, body.len()] {
        let (calls, end) = read(body.chunks(length));
        assert_eq!(calls, expected, "in pieces of {length}");
        assert!(end.is_ok(), "{end:?}");
    }
}

/// Asserts that the bytes before a fault are well-formed, except that they may end too early.
#[track_caller]
fn assert_first_fault(body: &[u8]) {
    let Err(error) = read([body]).1 else {
        return;
    };
    let offset = usize::try_from(error.offset).expect("the offset is in the body");
    let before = read([&body[..offset]]).1;
    match error.fault {
        Fault::Split | Fault::Unfinished => assert_eq!(before, Err(error)),
        _ => assert!(
            before.is_ok()
                || before
                    .is_err_and(|end| (end.fault, end.offset) == (Fault::Unfinished, error.offset)),
            "{error:?}, but the bytes before it give {before:?}"
        ),
    }
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic_and_read_the_same_however_they_are_cut(
        body in vec(any::<u8>(), 0..400),
        lengths in vec(1_usize..40, 0..20),
    ) {
        let whole = read([&body[..]]);
        prop_assert_eq!(&read(pieces(&body, &lengths)), &whole);
        prop_assert_eq!(&read(pieces(&body, &[1])), &whole);
    }

    #[test]
    fn hostile_messages_never_panic_and_read_the_same_however_they_are_cut(
        message in vec(prop_oneof![0_u8..0x60, any::<u8>()], 0..400),
        lengths in vec(1_usize..40, 0..20),
    ) {
        let body = framed(&message);
        assert_first_fault(&body);
        let whole = read([&body[..]]);
        prop_assert_eq!(&read(pieces(&body, &lengths)), &whole);
        prop_assert_eq!(&read(pieces(&body, &[1])), &whole);
    }

    #[test]
    fn a_broken_answer_reads_the_same_however_it_is_cut(
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        lengths in vec(1_usize..40, 0..20),
    ) {
        let mut body = framed(&three_images());
        let place = place.index(body.len());
        body[place] = byte;
        assert_first_fault(&body);
        prop_assert_eq!(&read(pieces(&body, &lengths)), &read([&body[..]]));
    }
}

/// The fields of a message: the last value of those that prost knows of it, and whether all of it was read.
fn last_fields(message: &[u8]) -> (Image, bool) {
    let mut image = Image::default();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let is_whole = read_fields(message, |field, value| match (field, value) {
        (2, Value::Bytes(id)) => image.id = text(id),
        (3, Value::Bytes(name)) => image.name = text(name),
        (5, Value::Integer(time)) => image.import_timestamp = time.cast_signed(),
        (7, Value::Integer(size)) => image.size = size.cast_signed(),
        _ => {}
    });
    (image, is_whole)
}

proptest! {
    #[test]
    fn the_fields_of_a_message_are_those_that_prost_decodes_of_what_is_there(
        id in ".{0,20}",
        name in ".{0,200}",
        numbers in any::<[i64; 2]>(),
        cut in 0.0..=1.0,
    ) {
        let image = Image {
            id,
            name,
            import_timestamp: numbers[0],
            size: numbers[1],
            ..Image::default()
        };
        let message = image.encode_to_vec();
        prop_assert_eq!(last_fields(&message), (image.clone(), true));
        let cut = (message.len() as f64 * cut) as usize;
        let (begun, is_whole) = last_fields(&message[..cut]);
        // A cut between two fields looks like a shorter message.
        prop_assert_eq!(is_whole, Image::decode(&message[..cut]).is_ok());
        for (begun, whole) in [(begun.id, image.id), (begun.name, image.name)] {
            prop_assert!(begun.is_empty() || begun == whole);
        }
    }

    #[test]
    fn any_bytes_are_read_as_fields_or_not_and_never_panic(
        bytes in prop_oneof![vec(any::<u8>(), 0..8), vec(any::<u8>(), 0..300)],
    ) {
        let (_, is_whole) = last_fields(&bytes);
        if Image::decode(&bytes[..]).is_ok() {
            // Groups, which prost skips, are not read.
            let has_group = |byte: &u8| matches!(byte & 7, 3 | 4);
            prop_assert!(is_whole || bytes.iter().any(has_group));
        }
    }
}
