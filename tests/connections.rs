//! A query's connection ends with the query, whatever the store does: no descriptor is left behind.

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
use peer::Act::{self, AwaitCall, Drip, HalfClose, ReadNothing, Say, SayForEver};
use peer::{Open, Script};

/// Long enough that most scripts come to their end before it.
const DEADLINE: &str = "1s";

/// A frame of a type that does not exist.
const UNKNOWN: u8 = 0x42;

/// Headers, without `END_HEADERS`: `:status: 200`.
const BEGINNING: &[u8] = b"\0\0\x01\x01\0\0\0\0\x01\x88";

/// The largest increment of a window.
const MOST: u32 = u32::MAX >> 1;

/// The stream of the first call.
const FIRST: u8 = 1;

/// The stream of the first side call.
const SIDE_CALL: u8 = 3;

/// Begins well and reads the call, then does this.
fn called(acts: &[Act]) -> Vec<Act> {
    [&[Say(greeting(&[])), AwaitCall(FIRST)], acts].concat()
}

/// Begins an answer, then does this.
fn answering(acts: &[Act]) -> Vec<Act> {
    called(&[&[Say(headers(FIRST))], acts].concat())
}

/// Answers with a list and these frames behind it, then does this.
fn listed(frames: &[u8], acts: &[Act]) -> Vec<Act> {
    called(&[&[Say([&list(FIRST), frames].concat())], acts].concat())
}

/// How stores that do not begin to answer treat a connection.
fn before_an_answer() -> Vec<Script> {
    let no_stream = [(MAX_CONCURRENT_STREAMS, 0)];
    let no_window = [(INITIAL_WINDOW_SIZE, 0)];
    let push = frame(PUSH_PROMISE, 0, FIRST, &[0, 0, 0, 2]);
    vec![
        ("says nothing", vec![]),
        ("reads nothing", vec![ReadNothing]),
        ("HTTP/1.1", vec![Say(b"HTTP/1.1 400 Bad\r\n".into())]),
        ("part of SETTINGS", vec![Say(settings(&[])[..5].into())]),
        ("no ACK", vec![Say(settings(&[]))]),
        ("no stream at once", vec![Say(greeting(&no_stream))]),
        ("no window", vec![Say(greeting(&no_window))]),
        ("a bad setting", vec![Say(greeting(&[(ENABLE_PUSH, 2)]))]),
        ("no headers", called(&[])),
        ("half-closed", called(&[HalfClose])),
        ("GOAWAY", called(&[Say(goaway(0))])),
        ("GOAWAY behind the call", called(&[Say(goaway(FIRST))])),
        ("RST_STREAM", called(&[Say(reset(FIRST))])),
        ("103", called(&[Say(informational(FIRST))])),
        ("too much window", called(&[Say(window_update(MOST))])),
        ("a push", called(&[Say(push)])),
        ("no END_HEADERS", called(&[Say(BEGINNING.into())])),
        (
            "a frame too long",
            called(&[Say(head(1 << 20, DATA, 0, FIRST))]),
        ),
        ("another's data", called(&[Say(frame(DATA, 0, 9, b"?"))])),
    ]
}

/// How stores that begin to answer leave a connection.
fn within_an_answer() -> Vec<Script> {
    let end = frame(DATA, END_STREAM, FIRST, &[0; 5]);
    vec![
        ("no data", answering(&[])),
        (
            "half a message",
            answering(&[Say(frame(DATA, 0, FIRST, &[0; 3]))]),
        ),
        (
            "half a frame",
            answering(&[Say(head(9_000, DATA, 0, FIRST))]),
        ),
        ("half-closed in it", answering(&[HalfClose])),
        ("drips", answering(&[Drip(frame(DATA, 0, FIRST, b"\0"))])),
        ("no trailers", answering(&[Say(message(FIRST))])),
        ("trailers, no end", answering(&[Say(trailers(FIRST, 0))])),
        ("an end, no trailers", answering(&[Say(end)])),
        ("RST_STREAM in it", answering(&[Say(reset(FIRST))])),
        ("GOAWAY in it", answering(&[Say(goaway(FIRST))])),
    ]
}

/// How stores that have answered leave a connection.
fn behind_an_answer() -> Vec<Script> {
    let no_stream = settings(&[(MAX_CONCURRENT_STREAMS, 0)]);
    let side_call = |words| listed(&[], &[AwaitCall(SIDE_CALL), Say(words)]);
    vec![
        ("nothing more", listed(&[], &[])),
        ("no stream any more", listed(&no_stream, &[])),
        ("GOAWAY after it", listed(&goaway(FIRST), &[])),
        ("half-closed after it", listed(&[], &[HalfClose])),
        ("a side call reset", side_call(reset(SIDE_CALL))),
        ("a side call begun", side_call(headers(SIDE_CALL))),
    ]
}

/// What stores send for ever.
fn without_end() -> Vec<Script> {
    let begun = |frames| called(&[Say(BEGINNING.into()), SayForEver(frames)]);
    let for_ever = |frames| called(&[SayForEver(frames)]);
    let data = |flags, data| answering(&[SayForEver(frame(DATA, flags, FIRST, data))]);
    vec![
        ("pings", for_ever(ping())),
        (
            "pings, reads nothing",
            vec![Say(greeting(&[])), SayForEver(ping())],
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
        ("pings after a list", listed(&[], &[SayForEver(ping())])),
    ]
}

/// One query of stores that follow these scripts.
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
    // The socket of the notification that told of the end may still be there.
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
fn a_connection_ends_with_its_query_when_the_store_does_not_answer() {
    assert_nothing_is_left_over_tcp(before_an_answer());
    assert_nothing_is_left_over_unix(before_an_answer());
}

#[test]
fn a_connection_ends_with_its_query_when_an_answer_does_not_end_well() {
    assert_nothing_is_left_over_tcp(within_an_answer());
    assert_nothing_is_left_over_unix(within_an_answer());
}

#[test]
fn a_connection_ends_with_its_query_when_the_store_has_answered() {
    assert_nothing_is_left_over_tcp(behind_an_answer());
    assert_nothing_is_left_over_unix(behind_an_answer());
}

#[test]
fn a_connection_ends_with_its_query_when_the_store_sends_without_end() {
    assert_nothing_is_left_over_tcp(without_end());
    assert_nothing_is_left_over_unix(without_end());
}

/// How collectors that do not take a trace treat a connection.
fn of_a_collector() -> Vec<Script> {
    let no_stream = settings(&[(MAX_CONCURRENT_STREAMS, 0)]);
    // Which is tried again.
    let refusal = [no_stream, unavailable(FIRST)].concat();
    vec![
        ("says nothing", vec![]),
        ("no ACK", vec![Say(settings(&[]))]),
        ("no headers", called(&[])),
        ("no stream any more", called(&[Say(refusal)])),
    ]
}

#[test]
fn a_connection_to_a_collector_ends_with_its_trace() {
    for script in of_a_collector() {
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
