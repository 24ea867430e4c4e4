//! A trace is never lost because it is too large for a datagram.

use lab::jaeger_agent::Value;
use lab::rkt_api_service::Behaviour;
use lab::service::PATIENCE;

use super::{LIST_IMAGES, ROOT, Scene, tag};

/// Ends a text that was cut, as the README says.
const MARK: &str = "[cut]";

fn failing_with(length: usize) -> Behaviour {
    Behaviour::Fail {
        code: 13,
        message: "x".repeat(length),
    }
}

#[test]
fn an_error_text_of_12_kilobytes_arrives_cut_and_marked() {
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
fn an_error_text_that_is_too_long_for_a_header_does_not_cost_the_trace() {
    let scene = Scene::set();
    scene.store.behave(failing_with(200 << 10));
    let trace = scene.trace();
    assert!(trace.span(LIST_IMAGES).is_error());
    assert!(trace.root().is_error());
}

#[test]
fn a_resource_attribute_of_70_kilobytes_arrives_cut_and_marked() {
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
fn a_service_name_of_70_kilobytes_does_not_cost_the_trace() {
    let name = "n".repeat(70 << 10);
    let scene = Scene::with(|service| service.env("OTEL_SERVICE_NAME", name));
    assert!(scene.trace().process.service.starts_with("nnn"));
}

#[test]
fn thousands_of_resource_attributes_do_not_cost_the_trace() {
    let attributes: Vec<_> = (0..7_000).map(|n| format!("k{n:04}=v")).collect();
    let attributes = attributes.join(",");
    let scene = Scene::with(|service| service.env("OTEL_RESOURCE_ATTRIBUTES", attributes));
    assert_eq!(scene.trace().root().operation, ROOT);
}

#[test]
fn a_resource_attribute_with_a_name_of_70_kilobytes_does_not_cost_the_trace() {
    let attribute = format!("{}=v", "k".repeat(70 << 10));
    let scene = Scene::with(|service| service.env("OTEL_RESOURCE_ATTRIBUTES", attribute));
    assert_eq!(scene.trace().root().operation, ROOT);
}

#[test]
fn the_texts_of_40_failing_stores_do_not_cost_the_trace() {
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
