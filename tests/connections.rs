//! The connection of a query is closed when the query ends, whatever the store does: no descriptor leaks.

use lab::poll::eventually;
use lab::rkt_api_service::{Images, StandIn};
use lab::service::{PATIENCE, Service};
use lab::tempdir;

#[path = "connections/frames.rs"]
mod frames;
#[path = "connections/peer.rs"]
mod peer;

use frames::{
    CONTINUATION, DATA, ENABLE_PUSH, END_STREAM, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS,
    PADDED, PRIORITY, PUSH_PROMISE, frame, goaway, greeting, head, headers, informational, list,
    message, ping, reset, settings, trailers, unavailable, window_update,
};
use peer::Act::{self, AwaitCall, Drip, HalfClose, ReadNothing, SendBytes, SendForEver};
use peer::{Open, Script};

/// Long enough for most scripts to finish before it.
const DEADLINE: &str = "1s";

/// A frame of a type that does not exist.
const UNKNOWN: u8 = 0x42;

/// Headers, without `END_HEADERS`: `:status: 200`.
const BEGINNING: &[u8] = b"\0\0\x01\x01\0\0\0\0\x01\x88";

/// The largest increment of a flow-control window.
const MOST: u32 = u32::MAX >> 1;

/// The stream of the first call.
const FIRST: u8 = 1;

/// The stream of the first side call.
const SIDE_CALL: u8 = 3;

/// Greets as a server should, reads the call, then performs these acts.
fn called(acts: &[Act]) -> Vec<Act> {
    [&[SendBytes(greeting(&[])), AwaitCall(FIRST)], acts].concat()
}

/// Begins an answer, then performs these acts.
fn answering(acts: &[Act]) -> Vec<Act> {
    called(&[&[SendBytes(headers(FIRST))], acts].concat())
}

/// Answers with a list followed by these frames, then performs these acts.
fn listed(frames: &[u8], acts: &[Act]) -> Vec<Act> {
    called(&[&[SendBytes([&list(FIRST), frames].concat())], acts].concat())
}

/// Stores that do not begin to answer.
fn before_an_answer() -> Vec<Script> {
    let no_stream = [(MAX_CONCURRENT_STREAMS, 0)];
    let no_window = [(INITIAL_WINDOW_SIZE, 0)];
    let push = frame(PUSH_PROMISE, 0, FIRST, &[0, 0, 0, 2]);
    vec![
        ("sends nothing", vec![]),
        ("reads nothing", vec![ReadNothing]),
        ("HTTP/1.1", vec![SendBytes(b"HTTP/1.1 400 Bad\r\n".into())]),
        (
            "part of SETTINGS",
            vec![SendBytes(settings(&[])[..5].into())],
        ),
        ("no ACK", vec![SendBytes(settings(&[]))]),
        ("no stream at once", vec![SendBytes(greeting(&no_stream))]),
        ("no window", vec![SendBytes(greeting(&no_window))]),
        (
            "a bad setting",
            vec![SendBytes(greeting(&[(ENABLE_PUSH, 2)]))],
        ),
        ("no headers", called(&[])),
        ("half-closed", called(&[HalfClose])),
        ("GOAWAY", called(&[SendBytes(goaway(0))])),
        ("GOAWAY after the call", called(&[SendBytes(goaway(FIRST))])),
        ("RST_STREAM", called(&[SendBytes(reset(FIRST))])),
        ("103", called(&[SendBytes(informational(FIRST))])),
        ("too much window", called(&[SendBytes(window_update(MOST))])),
        ("a push", called(&[SendBytes(push)])),
        ("no END_HEADERS", called(&[SendBytes(BEGINNING.into())])),
        (
            "a frame too long",
            called(&[SendBytes(head(1 << 20, DATA, 0, FIRST))]),
        ),
        (
            "another's data",
            called(&[SendBytes(frame(DATA, 0, 9, b"?"))]),
        ),
    ]
}

/// Stores that begin to answer and do not finish.
fn within_an_answer() -> Vec<Script> {
    let end = frame(DATA, END_STREAM, FIRST, &[0; 5]);
    vec![
        ("no data", answering(&[])),
        (
            "half a message",
            answering(&[SendBytes(frame(DATA, 0, FIRST, &[0; 3]))]),
        ),
        (
            "half a frame",
            answering(&[SendBytes(head(9_000, DATA, 0, FIRST))]),
        ),
        ("half-closed within it", answering(&[HalfClose])),
        ("drips", answering(&[Drip(frame(DATA, 0, FIRST, b"\0"))])),
        ("no trailers", answering(&[SendBytes(message(FIRST))])),
        (
            "trailers, no end",
            answering(&[SendBytes(trailers(FIRST, 0))]),
        ),
        ("an end, no trailers", answering(&[SendBytes(end)])),
        (
            "RST_STREAM within it",
            answering(&[SendBytes(reset(FIRST))]),
        ),
        ("GOAWAY within it", answering(&[SendBytes(goaway(FIRST))])),
    ]
}

/// Stores that have answered and leave the connection open.
fn after_an_answer() -> Vec<Script> {
    let no_stream = settings(&[(MAX_CONCURRENT_STREAMS, 0)]);
    let side_call = |words| listed(&[], &[AwaitCall(SIDE_CALL), SendBytes(words)]);
    vec![
        ("nothing more", listed(&[], &[])),
        ("no stream any more", listed(&no_stream, &[])),
        ("GOAWAY after it", listed(&goaway(FIRST), &[])),
        ("half-closed after it", listed(&[], &[HalfClose])),
        ("a side call reset", side_call(reset(SIDE_CALL))),
        ("a side call begun", side_call(headers(SIDE_CALL))),
    ]
}

/// Stores that send without end.
fn endless() -> Vec<Script> {
    let begun = |frames| called(&[SendBytes(BEGINNING.into()), SendForEver(frames)]);
    let for_ever = |frames| called(&[SendForEver(frames)]);
    let data = |flags, data| answering(&[SendForEver(frame(DATA, flags, FIRST, data))]);
    vec![
        ("pings", for_ever(ping())),
        (
            "pings, reads nothing",
            vec![SendBytes(greeting(&[])), SendForEver(ping())],
        ),
        ("SETTINGS", for_ever(settings(&[]))),
        ("103", for_ever(informational(FIRST))),
        ("windows", for_ever(window_update(1))),
        ("unknown frames", for_ever(frame(UNKNOWN, 0, 0, b"?"))),
        ("priorities", for_ever(frame(PRIORITY, 0, FIRST, &[0; 5]))),
        (
            "headers",
            begun(frame(CONTINUATION, 0, FIRST, b"\0\x01a\x01b")),
        ),
        ("no data", data(0, b"")),
        ("padding", data(PADDED, b"\x04\0\0\0\0")),
        ("messages", data(0, &[0; 5])),
        ("pings after a list", listed(&[], &[SendForEver(ping())])),
    ]
}

/// Queries stores that follow these scripts once; no connection and no descriptor must be left.
#[track_caller]
fn assert_nothing_is_left(scripts: Vec<Script>, store: impl Fn(usize, Script, Open) -> String) {
    let open = Open::default();
    let mut builder = Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
        .env("OTEL_TRACES_EXPORTER", "none")
        .arg("--deadline")
        .arg(DEADLINE);
    for (number, script) in scripts.into_iter().enumerate() {
        let store = store(number, script, open.clone());
        builder = builder.store(format!("store{number}={store}"));
    }
    let service = builder.start();
    let before = service.fds();
    let status = service.query();
    let left = open.wait_for_none(PATIENCE);
    assert!(left.is_empty(), "left open: {left:?}; {status}");
    // The socket that sent the last notification may still be open.
    eventually(&format!("no more than {before} descriptors"), || {
        (service.fds() <= before).then_some(())
    });
    assert!(service.stop().success());
}

#[track_caller]
fn assert_nothing_is_left_over_tcp(scripts: Vec<Script>) {
    assert_nothing_is_left(scripts, |_, script, open| {
        format!("rkt+{}", peer::tcp(script, open))
    });
}

#[track_caller]
fn assert_nothing_is_left_over_unix(scripts: Vec<Script>) {
    let folder = tempdir().expect("a temporary folder can be made");
    assert_nothing_is_left(scripts, |number, script, open| {
        let path = folder.path().join(number.to_string());
        format!("cri+{}", peer::unix(&path, script, open))
    });
}

#[test]
fn a_connection_is_closed_with_its_query_if_the_store_does_not_answer() {
    assert_nothing_is_left_over_tcp(before_an_answer());
    assert_nothing_is_left_over_unix(before_an_answer());
}

#[test]
fn a_connection_is_closed_with_its_query_if_the_answer_is_incomplete() {
    assert_nothing_is_left_over_tcp(within_an_answer());
    assert_nothing_is_left_over_unix(within_an_answer());
}

#[test]
fn a_connection_is_closed_with_its_query_after_the_store_has_answered() {
    assert_nothing_is_left_over_tcp(after_an_answer());
    assert_nothing_is_left_over_unix(after_an_answer());
}

#[test]
fn a_connection_is_closed_with_its_query_if_the_store_sends_without_end() {
    assert_nothing_is_left_over_tcp(endless());
    assert_nothing_is_left_over_unix(endless());
}

/// Collectors that do not accept a trace.
fn collectors() -> Vec<Script> {
    let no_stream = settings(&[(MAX_CONCURRENT_STREAMS, 0)]);
    // The exporter tries again after this status.
    let refusal = [no_stream, unavailable(FIRST)].concat();
    vec![
        ("sends nothing", vec![]),
        ("no ACK", vec![SendBytes(settings(&[]))]),
        ("no headers", called(&[])),
        ("no stream any more", called(&[SendBytes(refusal)])),
    ]
}

#[test]
fn a_connection_to_a_collector_is_closed_with_its_trace() {
    for script in collectors() {
        let open = Open::default();
        let store = StandIn::tcp(Images::generated(7));
        let service = Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
            .env("OTEL_TRACES_EXPORTER", "otlp")
            .env(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                peer::tcp(script, open.clone()),
            )
            .env("OTEL_EXPORTER_OTLP_TIMEOUT", "300")
            .store(store.url())
            .start();
        let before = service.fds();
        for failed in 1..=3 {
            service.query();
            let labels = [("outcome", "failed")];
            eventually("the end of a trace", || {
                let traces = service.scrape();
                let traces = traces.value("exp_rkt_grpc_traces_total", &labels);
                (traces == Some(f64::from(failed))).then_some(())
            });
        }
        let left = open.wait_for_none(PATIENCE);
        assert!(left.is_empty(), "left open: {left:?}");
        eventually(&format!("no more than {before} descriptors"), || {
            (service.fds() <= before).then_some(())
        });
    }
}
