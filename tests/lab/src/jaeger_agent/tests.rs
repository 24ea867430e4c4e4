//! Datagrams written byte by byte from the specification, and what is made of them.

use super::*;

mod receiving;

const EMIT_BATCH: &[u8] = b"\x82\x81\x07\x09emitBatch"; // protocol, oneway << 5 | 1, seq 7, name
const BATCH: &[u8] = &[0x1c]; // field 1, struct
const STOP: &[u8] = &[0x00];

const PROCESS: &[&[u8]] = &[
    &[0x1c],                           // 1 process: struct
    b"\x18\x03svc",                    // 1 serviceName
    &[0x19, 0x1c],                     // 2 tags: list of 1 struct
    b"\x18\x01k\x15\x00\x18\x01v\x00", // key, vType STRING, vStr, stop
    STOP,
];

const ROOT: &[&[u8]] = &[
    &[0x16, 0x02],                                                // 1 traceIdLow 1
    &[0x16, 0x01],                                                // 2 traceIdHigh -1
    &[0x16, 0x04],                                                // 3 spanId 2
    &[0x16, 0x00],                                                // 4 parentSpanId 0
    b"\x18\x04root",                                              // 5 operationName
    &[0x25, 0x02],                                                // 7 flags 1
    &[0x16, 0x80, 0x89, 0x7a],                                    // 8 startTime 1_000_000
    &[0x16, 0xe0, 0xc1, 0x01],                                    // 9 duration 12_400
    &[0x19, 0x5c],                                                // 10 tags: list of 5 structs
    b"\x18\x01s\x15\x00\x18\x02\xc3\xa4\x00",                     // STRING "ä"
    b"\x18\x01d\x15\x02\x27\x00\x00\x00\x00\x00\x00\xf8\x3f\x00", // DOUBLE 1.5, little endian
    b"\x18\x01b\x15\x04\x31\x00",                                 // BOOL true, in the field's type
    b"\x18\x01l\x15\x06\x46\x05\x00",                             // LONG -3
    b"\x18\x01x\x15\x08\x58\x02\xca\xfe\x00",                     // BINARY
    &[0x19, 0x1c],                                                // 11 logs: list of 1 struct
    &[0x16, 0x80, 0x89, 0x7a],                                    // 1 timestamp
    b"\x19\x1c\x18\x05event\x15\x00\x18\x02ev\x00",               // 2 fields: event=ev
    STOP,
    STOP,
];

const CHILD: &[&[u8]] = &[
    &[0x06, 0x02, 0x02], // field 1 in the long form
    &[0x16, 0x01],
    // 3 spanId i64::MIN: the longest varint
    b"\x16\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    &[0x16, 0x04],
    b"\x18\x05child",
    &[0x19, 0xfc, 0x01], // 6 references: list of 1 struct, size in the long form
    &[0x15, 0x02, 0x16, 0x02, 0x16, 0x01, 0x16, 0x04, 0x00], // FOLLOWS_FROM
    &[0x15, 0x00],
    &[0x16, 0x80, 0x89, 0x7a],
    &[0x16, 0x00],
    &[0x19, 0x0c], // 10 tags: an empty list
    STOP,
];

fn datagram(process: &[&[u8]], spans: &[&[&[u8]]]) -> Vec<u8> {
    let list = [0x19, (spans.len() as u8) << 4 | 0x0c];
    let tail = [0x16, 0x0a, 0x00, 0x00]; // 3 seqNo 5, the batch's stop, the arguments' stop
    let spans = spans.iter().map(|span| span.concat());
    let mut bytes = [EMIT_BATCH, BATCH, &process.concat(), &list].concat();
    bytes.extend(spans.flatten());
    bytes.extend(tail);
    bytes
}

fn golden() -> Vec<u8> {
    datagram(PROCESS, &[ROOT, CHILD])
}

fn why(datagram: &[u8]) -> String {
    Batch::decode(datagram)
        .expect_err("a malformed datagram")
        .to_string()
}

/// A process with one unknown field, of id 3.
fn with_unknown(field: &[u8]) -> Vec<u8> {
    datagram(&[b"\x1c\x18\x03svc", field, STOP], &[])
}

#[test]
fn a_batch_written_by_hand_is_read_as_it_was_meant() {
    let batch = Batch::decode(&golden()).expect("a batch by the specification");
    assert_eq!((batch.sequence, batch.message_sequence), (Some(5), 7));
    assert_eq!(batch.process.service, "svc");
    assert_eq!(batch.process.tags["k"], Value::String("v".to_owned()));
    let [root, child] = &batch.spans[..] else {
        panic!("two spans: {batch:?}")
    };

    assert_eq!(root.trace_id, u128::from(u64::MAX) << 64 | 1);
    assert_eq!((root.span_id, root.parent_span_id, root.flags), (2, 0, 1));
    assert_eq!(
        (root.start_micros, root.duration_micros),
        (1_000_000, 12_400)
    );
    assert_eq!(root.tags["s"], Value::String("ä".to_owned()));
    assert_eq!(root.tags["d"], Value::Double(1.5));
    assert_eq!(root.tags["b"], Value::Bool(true));
    assert_eq!(root.tags["l"], Value::Long(-3));
    assert_eq!(root.tags["x"], Value::Binary(vec![0xca, 0xfe]));
    assert_eq!(root.logs[0].name().as_deref(), Some("ev"));
    assert_eq!(root.logs[0].timestamp_micros, 1_000_000);

    assert_eq!((child.span_id, child.parent_span_id), (1 << 63, 2));
    let link = Reference {
        relation: Relation::FollowsFrom,
        trace_id: root.trace_id,
        span_id: 2,
    };
    assert_eq!(child.references, [link]);
    assert_eq!(
        (child.flags, child.duration_micros, child.tags.len()),
        (0, 0, 0)
    );
}

#[test]
fn a_datagram_cut_at_any_byte_is_an_error() {
    let golden = golden();
    for length in 0..golden.len() {
        let error = Batch::decode(&golden[..length]).expect_err("a cut datagram");
        assert!(error.offset <= length, "{length}: {error}");
    }
}

#[test]
fn no_byte_can_make_the_reader_or_the_tree_panic() {
    let golden = golden();
    for at in 0..golden.len() {
        for byte in 0..=u8::MAX {
            let mut bytes = golden.clone();
            bytes[at] = byte;
            let trace = Batch::decode(&bytes).ok().and_then(Trace::from_batch);
            drop(trace.map(|trace| trace.render()));
        }
    }
}

#[test]
fn bytes_after_the_message_are_an_error() {
    let golden = golden();
    let longer = [&golden[..], &[0]].concat();
    assert_eq!(
        why(&longer),
        format!("byte {}: 1 bytes follow the message", golden.len())
    );
}

#[test]
fn only_a_oneway_call_of_emit_batch_is_a_batch() {
    let changed = |at: usize, byte: u8| {
        let mut bytes = golden();
        bytes[at] = byte;
        why(&bytes)
    };
    assert_eq!(changed(0, 0x80), "byte 0: protocol id 0x80, not 0x82");
    assert_eq!(changed(1, 0x82), "byte 1: version 2, not 1");
    assert!(changed(1, 0x21).ends_with("message type 1, not oneway"));
    assert!(changed(4, b'E').ends_with("a call of \"EmitBatch\", not of emitBatch"));
}

#[test]
fn a_required_field_that_is_missing_is_named() {
    let without = |index: usize, replacement: &[u8]| {
        let mut span = ROOT[..9].to_vec();
        span[index] = replacement;
        span[8] = STOP;
        why(&datagram(PROCESS, &[&span]))
    };
    assert!(without(0, b"").contains("field 4 of Span is Binary, not I64"));
    assert!(without(7, b"").ends_with("Span.duration is missing"));
    assert!(why(&datagram(&[&[0x1c], STOP], &[])).ends_with("Process.serviceName is missing"));
    assert!(why(&[EMIT_BATCH, BATCH, STOP, STOP].concat()).ends_with("Batch.process is missing"));
    assert!(why(&[EMIT_BATCH, STOP].concat()).ends_with("the batch of emitBatch is missing"));
}

#[test]
fn fields_of_any_type_that_nobody_knows_are_stepped_over() {
    let unknown: &[&[u8]] = &[
        &[0x21],                                                       // true
        &[0x22],                                                       // false
        &[0x23, 0xff],                                                 // i8
        &[0x24, 0x03],                                                 // i16
        &[0x25, 0xff, 0xff, 0xff, 0xff, 0x0f],                         // i32
        &[0x26, 0x80, 0x01],                                           // i64
        &[0x27, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f],                         // double
        &[0x28, 0x02, 0xff, 0xfe],                                     // binary
        &[0x29, 0x32, 0x01, 0x00, 0x01], // list of three bools, a byte each
        &[0x29, 0x29, 0x15, 0x02, 0x05], // list of two lists: of one i32, of none
        &[0x2a, 0x13, 0x09],             // set of an i8
        &[0x2b, 0x00],                   // an empty map has no types
        &[0x2b, 0x01, 0x8c, 0x01, b'a', 0x11, 0x00], // map of a string to a struct
        &[0x2c, 0x1c, 0x11, 0x00, 0x00], // struct in a struct
        &[0x2d, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], // uuid
    ];
    for field in unknown {
        let batch = Batch::decode(&with_unknown(field));
        assert_eq!(
            batch.expect("an unknown field").process.service,
            "svc",
            "{field:02x?}"
        );
    }
}

#[test]
fn a_value_that_cannot_be_is_refused_where_it_stands() {
    let nested = [&[0x29][..], &[0x19; 40], &[0x03]].concat();
    for (field, expected) in [
        (&[0x2e][..], "byte 20: type 14 does not exist"),
        (&[0x20], "byte 20: type 0 does not exist"),
        (&[0x29, 0x1f], "byte 21: type 15 does not exist"),
        (
            &[0x25, 0xff, 0xff, 0xff, 0xff, 0x1f],
            "byte 21: a varint of more than 32 bits",
        ),
        (
            &[0x05, 0x80, 0x80, 0x04],
            "byte 20: a field id of Process is out of range",
        ),
        (
            &[0x08, 0x02, 0x01, b'b'],
            "byte 20: field 1 of Process comes twice",
        ),
        (&[0x19, 0x13, 0x01], "byte 21: a list of I8, not of Struct"),
        (
            &[0x15, 0x00],
            "byte 20: field 2 of Process is I32, not List",
        ),
        (&nested, "byte 53: values are nested too deep"),
        (
            b"\x19\x1c\x18\x01k\x15\x06\x18\x01v\x00",
            "the tag \"k\" has no value of its type 3",
        ),
        (
            b"\x19\x1c\x18\x01\xff\x15\x00\x18\x01v\x00",
            "byte 23: a string that is not UTF-8",
        ),
        (
            b"\x19\x2c\x18\x01k\x15\x00\x18\x01v\x00\x18\x01k\x15\x00\x18\x01v\x00",
            "the tag \"k\" comes twice",
        ),
    ] {
        let why = why(&with_unknown(field));
        assert!(why.ends_with(expected), "{field:02x?}: {why}");
    }
}

#[test]
fn a_length_is_compared_with_what_is_left_before_it_is_believed() {
    let most = [0xff, 0xff, 0xff, 0xff, 0x0f];
    for header in [&[0x28][..], &[0x29, 0xf1], &[0x2a, 0xfc], &[0x2b]] {
        let why = why(&with_unknown(&[header, &most].concat()));
        assert!(why.contains("a length of 4294967295 where"), "{why}");
    }
}
