//! Decoding of datagrams that are written byte by byte from the specification.

use super::*;

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
    &[0x19, 0xfc, 0x04], // 10 tags: list of 4 structs, size in the long form
    b"\x18\x01s\x15\x00\x18\x02\xc3\xa4\x00", // STRING "ä"
    b"\x18\x01d\x15\x02\x27\x00\x00\x00\x00\x00\x00\xf8\x3f\x00", // DOUBLE 1.5, little endian
    b"\x18\x01b\x15\x04\x31\x00", // BOOL true, in the field's type
    b"\x18\x01l\x15\x06\x46\x05\x00", // LONG -3
    &[0x19, 0x1c],       // 11 logs: list of 1 struct
    &[0x16, 0x80, 0x89, 0x7a], // 1 timestamp
    b"\x19\x1c\x18\x05event\x15\x00\x18\x02ev\x00", // 2 fields: event=ev
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
    &[0x25, 0x00],
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

#[test]
fn a_batch_written_by_hand_is_decoded() {
    let batch = Batch::decode(&golden()).expect("the batch follows the specification");
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
    assert_eq!(root.logs[0].name().as_deref(), Some("ev"));
    assert_eq!(root.logs[0].timestamp_micros, 1_000_000);

    assert_eq!((child.span_id, child.parent_span_id), (1 << 63, 2));
    assert_eq!(
        (child.flags, child.duration_micros, child.tags.len()),
        (0, 0, 0)
    );
}

#[test]
fn anything_but_a_complete_oneway_call_of_emit_batch_is_refused() {
    let golden = golden();
    for length in 0..golden.len() {
        assert!(Batch::decode(&golden[..length]).is_err(), "{length}");
    }
    assert!(Batch::decode(&[&golden[..], &[0]].concat()).is_err());
    // Protocol, version, type and name.
    for (at, byte) in [(0, 0x80), (1, 0x82), (1, 0x21), (4, b'E')] {
        let mut changed = golden.clone();
        changed[at] = byte;
        assert!(Batch::decode(&changed).is_err(), "{at}");
    }
}
