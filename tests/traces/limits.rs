//! Traces that would be too large for a datagram are truncated, not lost.

use lab::jaeger_agent::Value;
use lab::otlp_collector::{FlatSpan, OtlpCollector};
use lab::rkt_api_service::Behaviour;
use lab::service::{Builder, PATIENCE};
use tonic::Status;

use super::{LIST_IMAGES, ROOT, Scene, program, store, tag};

/// The end of a truncated text, see `CUT` in src/words.rs.
const MARK: &str = "[cut]";

fn failing_with(length: usize) -> Behaviour {
    Behaviour::Fail(Status::internal("x".repeat(length)))
}

#[test]
fn an_error_text_of_12_kilobytes_is_truncated_and_marked() {
    let scene = Scene::set();
    scene.store.behave(failing_with(12 << 10));
    let trace = scene.trace();
    for span in [ROOT, LIST_IMAGES] {
        let description = tag(trace.span(span), "otel.status_description");
        assert!(description.contains("xxxxxxxx"), "{description}");
        assert!(description.len() < 12 << 10, "{}", description.len());
        assert!(
            description.contains(MARK),
            "{span} is not marked: {description}"
        );
    }
}

#[test]
fn an_error_text_that_is_too_long_for_a_header_does_not_lose_the_trace() {
    let scene = Scene::set();
    scene.store.behave(failing_with(200 << 10));
    let trace = scene.trace();
    assert!(trace.span(LIST_IMAGES).is_error());
    assert!(trace.root().is_error());
}

#[test]
fn a_resource_attribute_of_70_kilobytes_is_truncated_and_marked() {
    let attribute = format!("host.note={}", "n".repeat(70 << 10));
    let scene = Scene::with(|service| service.env("OTEL_RESOURCE_ATTRIBUTES", attribute));
    scene.store.behave(failing_with(12 << 10));
    let trace = scene.trace();
    let Some(Value::String(note)) = trace.process.tags.get("host.note") else {
        panic!("{:?}", trace.process);
    };
    assert!(note.starts_with("nnn") && note.ends_with(MARK), "{note}");
}

#[test]
fn a_service_name_of_70_kilobytes_does_not_lose_the_trace() {
    let name = "n".repeat(70 << 10);
    let scene = Scene::with(|service| service.env("OTEL_SERVICE_NAME", name));
    assert!(scene.trace().process.service.starts_with("nnn"));
}

#[test]
fn thousands_of_resource_attributes_do_not_lose_the_trace() {
    let attributes: Vec<_> = (0..7_000).map(|n| format!("k{n:04}=v")).collect();
    let attributes = attributes.join(",");
    let scene = Scene::with(|service| service.env("OTEL_RESOURCE_ATTRIBUTES", attributes));
    assert_eq!(scene.trace().root().operation, ROOT);
}

#[test]
fn a_resource_attribute_with_a_name_of_70_kilobytes_does_not_lose_the_trace() {
    let attribute = format!("{}=v", "k".repeat(70 << 10));
    let scene = Scene::with(|service| service.env("OTEL_RESOURCE_ATTRIBUTES", attribute));
    assert_eq!(scene.trace().root().operation, ROOT);
}

#[test]
fn the_error_texts_of_40_failing_stores_do_not_lose_the_trace() {
    let scene = Scene::with(|mut service| {
        for store in 0..40 {
            service = service.store(format!("s{store}=rkt+unix:///nowhere/{}", "x".repeat(90)));
        }
        service
    });
    scene.service.query();
    let trace = scene.agent.next_trace_of(1 + 3 + 40 * 2, PATIENCE);
    assert!(trace.root().is_error());
    assert_eq!(trace.spans_named(LIST_IMAGES).len(), 41);
}

/// Each of these 260 stores adds two spans.
fn failing_stores(service: Builder) -> Builder {
    let stores = 0..260;
    stores.fold(service, |service, store| {
        service.store(format!("s{store}=rkt+unix:///nowhere"))
    })
}

const ALL_SPANS: usize = 1 + 3 + 260 * 2;
const SENT_SPANS: usize = 1 + 512;
const DROPPED_SPANS: &str = "otel.dropped_spans_count";

#[test]
fn the_root_of_a_trace_that_is_too_large_has_the_number_of_dropped_spans() {
    let scene = Scene::with(failing_stores);
    scene.service.query();
    let trace = scene.agent.next_trace_of(SENT_SPANS, PATIENCE);
    assert_eq!(trace.spans.len(), SENT_SPANS);
    let dropped = (ALL_SPANS - SENT_SPANS).to_string();
    assert_eq!(tag(trace.span(ROOT), DROPPED_SPANS), dropped);
    let marked = trace
        .spans
        .iter()
        .filter(|span| span.text(DROPPED_SPANS).is_some());
    assert_eq!(marked.count(), 1);
}

#[test]
fn over_otlp_the_root_has_the_number_of_dropped_spans_too() {
    let (store, collector) = (store(), OtlpCollector::bind());
    let service = program()
        .env("OTEL_TRACES_EXPORTER", "otlp")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        .store(store.url());
    let service = failing_stores(service).start();
    service.query();
    let request = collector.next_request(PATIENCE).expect("the trace arrives");
    let spans = FlatSpan::all(&request);
    assert_eq!(spans.len(), SENT_SPANS);
    let root = spans.iter().find(|span| span.span.name == ROOT);
    let dropped = root.and_then(|root| root.text(DROPPED_SPANS));
    assert_eq!(dropped, Some((ALL_SPANS - SENT_SPANS).to_string()));
}

#[test]
fn a_complete_trace_has_no_number_of_dropped_spans() {
    assert_eq!(Scene::set().trace().root().text(DROPPED_SPANS), None);
}
