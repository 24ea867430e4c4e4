//! HTTP/2 frames written by hand (RFC 9113, section 6), including invalid ones that no library would send.

/// Types of frames.
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// Flags; ACK is END_STREAM's bit.
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;

/// Settings (section 6.5.2).
pub(super) const ENABLE_PUSH: u8 = 2;
pub(super) const MAX_CONCURRENT_STREAMS: u8 = 3;
pub(super) const INITIAL_WINDOW_SIZE: u8 = 4;

pub(super) fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(payload.len(), kind, flags, stream);
    frame.extend(payload);
    frame
}

/// The header of a frame that announces this many bytes.
pub(super) fn head(length: usize, kind: u8, flags: u8, stream: u8) -> Vec<u8> {
    let [.., high, middle, low] = length.to_be_bytes();
    vec![high, middle, low, kind, flags, 0, 0, 0, stream]
}

/// SETTINGS with these values.
pub(super) fn settings(values: &[(u8, u8)]) -> Vec<u8> {
    let values = values.iter();
    let payload = values.flat_map(|&(setting, value)| [0, setting, 0, 0, 0, value]);
    frame(SETTINGS, 0, 0, &payload.collect::<Vec<u8>>())
}

/// What a correct server sends first: its SETTINGS, and the ACK of ours.
pub(super) fn greeting(values: &[(u8, u8)]) -> Vec<u8> {
    [settings(values), frame(SETTINGS, 1, 0, &[])].concat()
}

/// The head of a gRPC answer, without END_STREAM.
pub(super) fn headers(stream: u8) -> Vec<u8> {
    let fields = [vec![STATUS_200], field("content-type", "application/grpc")];
    frame(HEADERS, END_HEADERS, stream, &fields.concat())
}

/// `:status: 200` in HPACK's static table.
const STATUS_200: u8 = 0x88;

/// An informational head, such as 103.
pub(super) fn informational(stream: u8) -> Vec<u8> {
    // `:status`, the name from the static table, the value as it is.
    frame(HEADERS, END_HEADERS, stream, b"\x08\x03103")
}

/// An empty gRPC message: a list without images.
pub(super) fn message(stream: u8) -> Vec<u8> {
    frame(DATA, 0, stream, &[0; 5])
}

pub(super) fn trailers(stream: u8, flags: u8) -> Vec<u8> {
    frame(
        HEADERS,
        END_HEADERS | flags,
        stream,
        &field("grpc-status", "0"),
    )
}

/// A whole answer: a list without images.
pub(super) fn list(stream: u8) -> Vec<u8> {
    [
        headers(stream),
        message(stream),
        trailers(stream, END_STREAM),
    ]
    .concat()
}

/// An answer that consists of UNAVAILABLE.
pub(super) fn unavailable(stream: u8) -> Vec<u8> {
    let fields = [
        vec![STATUS_200],
        field("content-type", "application/grpc"),
        field("grpc-status", "14"),
    ];
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields.concat())
}

pub(super) fn reset(stream: u8) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &[0, 0, 0, 2])
}

pub(super) fn ping() -> Vec<u8> {
    frame(PING, 0, 0, b"hello 12")
}

/// A GOAWAY with this last stream.
pub(super) fn goaway(last: u8) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[0, 0, 0, last, 0, 0, 0, 0])
}

pub(super) fn window_update(increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, 0, &increment.to_be_bytes())
}

/// A header field in HPACK, not indexed and not compressed.
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).expect("short");
        [&[length], text.as_bytes()].concat()
    };
    [vec![0], text(name), text(value)].concat()
}
