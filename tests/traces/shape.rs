//! The spans of a trace, their parents, and their times.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lab::jaeger_agent::{JaegerAgent, Span, Trace};
use lab::rkt_api_service::{Behaviour, Method};
use lab::service::PATIENCE;

use super::{CONNECT, GET_INFO, LIST_IMAGES, ROOT, Scene, exporting_to, operations, store, tag};

/// Start and duration are each rounded down to microseconds.
const ROUNDING_MICROS: i64 = 2;

fn end(span: &Span) -> i64 {
    span.start_micros + span.duration_micros
}

fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since.expect("the clock is past 1970").as_micros();
    i64::try_from(micros).expect("the clock is before the year 294,000")
}

fn assert_children_are_within_their_parents(trace: &Trace) {
    for span in &trace.spans {
        for child in trace.children_of(span) {
            let within = child.start_micros >= span.start_micros
                && end(child) <= end(span) + ROUNDING_MICROS;
            assert!(within, "{}\n{span:#?}\n{child:#?}", trace.render());
        }
    }
}

#[test]
fn scrapes_make_no_traces() {
    let scene = Scene::set();
    for path in ["/metrics", "/", "/-/healthy", "/-/ready", "/nowhere"] {
        scene.service.get(path);
    }
    scene.assert_nothing_more_was_sent();
}

#[test]
fn a_query_is_one_trace_in_one_datagram() {
    let scene = Scene::set();
    let trace = scene.trace();
    assert_eq!(
        operations(&trace),
        [CONNECT, ROOT, GET_INFO, LIST_IMAGES],
        "{}",
        trace.render()
    );
    scene.assert_nothing_more_was_sent();
}

#[test]
fn every_query_is_a_trace_of_its_own() {
    let scene = Scene::set();
    assert_ne!(scene.trace().id(), scene.trace().id());
    scene.assert_nothing_more_was_sent();
}

#[test]
fn a_debugged_library_adds_no_span_and_holds_none_open() {
    let loud = "exp_rkt_grpc=trace,h2=trace,hyper=trace,hyper_util=trace,tower=trace,tonic=trace";
    let scene = Scene::with(|service| service.arg("--log-level").arg(loud));
    let trace = scene.trace();
    assert_eq!(operations(&trace), [CONNECT, ROOT, GET_INFO, LIST_IMAGES]);
    assert_children_are_within_their_parents(&trace);
    scene.assert_nothing_more_was_sent();
}

#[test]
fn the_root_has_no_parent() {
    let trace = Scene::set().trace();
    let root = trace.span(ROOT);
    assert_eq!(root.parent_span_id, 0);
    assert_eq!(trace.root(), root);
}

#[test]
fn the_calls_are_children_of_the_root_and_connecting_is_part_of_the_first() {
    let trace = Scene::set().trace();
    let list_images = trace.span(LIST_IMAGES);
    assert_eq!(
        trace.children_of(trace.root()),
        [list_images, trace.span(GET_INFO)]
    );
    assert_eq!(trace.children_of(list_images), [trace.span(CONNECT)]);
}

#[test]
fn two_stores_are_in_one_trace() {
    let (first, second) = (store(), store());
    let agent = JaegerAgent::bind();
    let service = exporting_to(agent.address())
        .store(format!("first={}", first.url()))
        .store(format!("second={}", second.url()))
        .start();
    service.query();
    let trace = agent.next_trace(PATIENCE);
    assert_eq!(trace.spans.len(), 7, "{}", trace.render());
    let mut asked: Vec<_> = trace
        .spans_named(LIST_IMAGES)
        .into_iter()
        .map(|span| (tag(span, "imagestore.store"), tag(span, "server.port")))
        .collect();
    asked.sort();
    let port = |store: &lab::rkt_api_service::StandIn| store.address().port().to_string();
    assert_eq!(
        asked,
        [
            ("first".to_owned(), port(&first)),
            ("second".to_owned(), port(&second))
        ]
    );
}

#[test]
fn children_are_within_their_parents() {
    assert_children_are_within_their_parents(&Scene::set().trace());
}

#[test]
fn the_root_lasts_at_least_as_long_as_its_calls_together() {
    let trace = Scene::set().trace();
    let calls = trace.children_of(trace.root());
    let together: i64 = calls.iter().map(|call| call.duration_micros).sum();
    assert!(
        trace.root().duration_micros + ROUNDING_MICROS >= together,
        "{}",
        trace.render()
    );
}

#[test]
fn a_slow_store_has_a_long_span() {
    const DELAY: i64 = 200_000;
    let scene = Scene::set();
    scene.store.behave_for(
        Method::ListImages,
        Behaviour::Slow(Duration::from_micros(DELAY.unsigned_abs())),
    );
    let trace = scene.trace();
    let list_images = trace.span(LIST_IMAGES);
    assert!(list_images.duration_micros >= DELAY, "{}", trace.render());
    assert_children_are_within_their_parents(&trace);
}

#[test]
fn spans_start_when_the_query_does() {
    let scene = Scene::set();
    let before = now_micros();
    let trace = scene.trace();
    let after = now_micros();
    for span in &trace.spans {
        assert!(
            (before..=after).contains(&span.start_micros) && end(span) <= after,
            "not from {before} to {after}: {span:#?}"
        );
    }
}
