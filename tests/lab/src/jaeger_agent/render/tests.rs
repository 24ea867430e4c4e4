//! Trees as people see them, and how tests ask for their parts.

use super::super::batch::Process;
use super::*;

fn span(id: u64, parent: u64, name: &str, start: i64, duration: i64) -> Span {
    Span {
        trace_id: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
        span_id: id,
        parent_span_id: parent,
        operation: name.to_owned(),
        start_micros: 1_700_000_000_000_000 + start,
        duration_micros: duration,
        ..Span::default()
    }
}

fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, Value> {
    let tag = |(key, text): &(&str, &str)| (key.to_string(), Value::String(text.to_string()));
    pairs.iter().map(tag).collect()
}

fn log(offset: i64, fields: &[(&str, &str)]) -> Log {
    Log {
        timestamp_micros: 1_700_000_000_000_000 + offset,
        fields: tags(fields),
    }
}

fn trace(spans: Vec<Span>) -> Trace {
    let process = Process {
        service: "exp-rkt-grpc".to_owned(),
        tags: BTreeMap::new(),
    };
    Trace { process, spans }
}

fn query() -> Trace {
    let mut root = span(1, 0, "imagestore query", 0, 12_400);
    root.tags = tags(&[
        ("trigger", "signal"),
        ("busy_ns", "7"),
        ("code.lineno", "3"),
    ]);
    root.logs
        .push(log(12_310, &[("event", "images counted"), ("images", "3")]));
    let mut list = span(2, 1, "v1alpha.PublicAPI/ListImages", 310, 11_900);
    list.tags = tags(&[
        ("rpc.method", "v1alpha.PublicAPI/ListImages"),
        ("rpc.response.status_code", "OK"),
        ("server.address", "127.0.0.1"),
        ("server.port", "15441"),
    ]);
    list.logs.push(log(9_000, &[("event", "response headers")]));
    let connect = span(3, 2, "connect", 352, 250);
    let mut failed = span(4, 1, "runtime.v1.ImageService/ListImages", 320, 80);
    failed.tags = tags(&[
        ("error.type", "UNAVAILABLE"),
        ("otel.status_description", "connection\nrefused"),
    ]);
    failed.tags.insert("error".to_owned(), Value::Bool(true));
    trace(vec![connect, failed, list, root])
}

#[test]
fn a_trace_is_a_tree_in_the_order_of_time() {
    let expected = "\
trace 0af7651916cd43dd8448eb211c80319c  exp-rkt-grpc  4 spans
imagestore query                        +0.0 ms  12.4 ms  trigger=signal
│ • images counted                     +12.3 ms           images=3
├─ v1alpha.PublicAPI/ListImages         +0.3 ms  11.9 ms  rpc.response.status_code=OK
│  │                                                      server.address=127.0.0.1 server.port=15441
│  │ • response headers                 +9.0 ms
│  └─ connect                           +0.4 ms   0.2 ms
└─ runtime.v1.ImageService/ListImages   +0.3 ms   0.1 ms  ✗ connection refused
                                                          error.type=UNAVAILABLE
";
    assert_eq!(query().render(), expected);
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut deep: Vec<_> = (1..60)
        .map(|id| span(id, id - 1, &"ä".repeat(id as usize), 0, i64::MAX))
        .collect();
    deep[3].tags = tags(&[("key", &"v".repeat(200))]);
    let text = trace(deep).render();
    assert_eq!(text.lines().count(), 60);
    assert!(
        text.lines().all(|line| line.chars().count() <= WIDTH),
        "{text}"
    );
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let mut root = span(1, 0, "\x1b[2J\n", 0, 1);
    root.tags = tags(&[("k\r", "\u{9b}2J")]);
    let text = trace(vec![root]).render();
    assert!(
        text.chars().all(|c| c == '\n' || !c.is_control()),
        "{text:?}"
    );
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn spans_that_are_each_others_parents_are_drawn_once() {
    let twin = span(7, 7, "twin", 0, 1);
    let ring = vec![
        span(1, 2, "a", 0, 1),
        span(2, 1, "b", 0, 1),
        twin.clone(),
        twin,
    ];
    assert_eq!(trace(ring).render().lines().count(), 5);
}

#[test]
fn a_trace_answers_who_caused_whom() {
    let trace = query();
    let list = trace.span("v1alpha.PublicAPI/ListImages");
    assert_eq!(trace.root().operation, "imagestore query");
    assert_eq!(trace.parent_of(list), Some(trace.root()));
    assert_eq!(trace.parent_of(trace.root()), None);
    assert_eq!(trace.children_of(list), [trace.span("connect")]);
    assert_eq!(trace.children_of(trace.root())[0], list);
    assert_eq!(trace.id_hex(), "0af7651916cd43dd8448eb211c80319c");
}

#[test]
#[should_panic(expected = "0 spans named \"disconnect\"")]
fn a_span_that_is_not_there_is_said_so() {
    query().span("disconnect");
}

#[test]
#[should_panic(expected = "other than one root")]
fn two_roots_are_no_root() {
    trace(vec![span(1, 0, "a", 0, 1), span(2, 0, "b", 0, 1)]).root();
}
