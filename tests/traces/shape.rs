//! The spans of a trace, their parents and kinds, and their times.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lab::jaeger_agent::{Span, Trace};
use lab::rkt_api_service::{Behaviour, Method, StandIn};

use super::{CONNECT, GET_INFO, LIST_IMAGES, ROOT, Scene, operations, store, tag};

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
fn the_calls_are_children_of_the_root_and_connecting_is_part_of_the_first() {
    for scene in Scene::each() {
        let trace = scene.trace();
        let [root, list_images, get_info, connect] =
            [ROOT, LIST_IMAGES, GET_INFO, CONNECT].map(|name| trace.span(name));
        assert_eq!(root.parent_span_id, 0);
        assert_eq!(trace.children_of(root), [list_images, get_info]);
        assert_eq!(trace.children_of(list_images), [connect]);
        for call in [list_images, get_info] {
            assert_eq!(tag(call, "span.kind"), "client");
        }
        // Thrift has no tag for an internal span.
        for internal in [root, connect] {
            let kind = internal.text("span.kind");
            assert!(matches!(kind.as_deref(), None | Some("internal")));
        }
    }
}

#[test]
fn every_query_is_a_trace_of_its_own() {
    for scene in Scene::each() {
        assert_ne!(scene.trace().id(), scene.trace().id());
    }
}

#[test]
fn a_debugged_library_adds_no_span_and_holds_none_open() {
    let loud = "exp_rkt_grpc=trace,h2=trace,hyper=trace,hyper_util=trace,tower=trace,tonic=trace";
    for scene in Scene::each_with(|service| service.arg("--log-level").arg(loud)) {
        let trace = scene.trace();
        assert_eq!(operations(&trace), [CONNECT, ROOT, GET_INFO, LIST_IMAGES]);
        assert_children_are_within_their_parents(&trace);
    }
}

#[test]
fn two_stores_are_in_one_trace() {
    let other = store();
    for scene in Scene::each_with(|service| service.store(format!("other={}", other.url()))) {
        let trace = scene.trace_of(7);
        let calls = trace.spans_named(LIST_IMAGES).into_iter();
        let mut asked: Vec<_> = calls
            .map(|call| (tag(call, "imagestore.store"), tag(call, "server.port")))
            .collect();
        asked.sort();
        let port = |store: &StandIn| store.address().port().to_string();
        let [others, own] = [("other", &other), ("rkt", &scene.store)];
        let expected = [others, own].map(|(name, store)| (name.to_owned(), port(store)));
        assert_eq!(asked, expected);
        assert_children_are_within_their_parents(&trace);
    }
}

#[test]
fn spans_have_the_times_of_the_query_and_its_calls() {
    const DELAY: Duration = Duration::from_millis(200);
    for scene in Scene::each() {
        let slow = Behaviour::Slow(DELAY);
        scene.store.behave_for(Method::ListImages, slow);
        let before = now_micros();
        let trace = scene.trace();
        let after = now_micros();
        let drawn = trace.render();
        for span in &trace.spans {
            assert!(span.start_micros >= before && end(span) <= after, "{drawn}");
        }
        assert_children_are_within_their_parents(&trace);
        let list_images = trace.span(LIST_IMAGES).duration_micros;
        assert!(list_images >= DELAY.as_micros() as i64, "{drawn}");
        let calls = list_images + trace.span(GET_INFO).duration_micros;
        let root = trace.root().duration_micros;
        assert!(root + ROUNDING_MICROS >= calls, "{drawn}");
    }
}
