//! Traces that would be too large for a datagram: their texts are truncated, they are sent in parts, and Jaeger has them whole.

use lab::poll::eventually;
use lab::rkt_api_service::Behaviour;
use lab::service::Builder;
use tonic::Status;

use super::{Exporter, LIST_IMAGES, ROOT, SPANS, Scene, query, tag};

/// The end of a truncated text, see `CUT` in src/words.rs.
const MARK: &str = "[cut]";

fn failing_with(length: usize) -> Behaviour {
    Behaviour::Fail(Status::internal("x".repeat(length)))
}

/// Over OTLP, nothing has to fit a datagram.
fn over_udp(configure: impl FnOnce(Builder) -> Builder) -> Option<Scene> {
    Scene::over(Exporter::Jaeger, configure)
}

#[test]
fn over_udp_an_error_text_of_12_kilobytes_is_truncated_and_marked() {
    let Some(scene) = over_udp(|service| service) else {
        return;
    };
    scene.store.behave(failing_with(12 << 10));
    let trace = scene.trace_of(3);
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
    for scene in Scene::each() {
        scene.store.behave(failing_with(200 << 10));
        let trace = scene.trace_of(3);
        assert!(trace.span(LIST_IMAGES).is_error());
        assert!(trace.root().is_error());
    }
}

#[test]
fn over_udp_a_resource_attribute_of_70_kilobytes_is_truncated_and_marked() {
    let attribute = format!("host.note={}", "n".repeat(70 << 10));
    let Some(scene) = over_udp(|service| service.env("OTEL_RESOURCE_ATTRIBUTES", attribute)) else {
        return;
    };
    scene.store.behave(failing_with(12 << 10));
    let tags = scene.trace_of(3).process.tags;
    let note = tags["host.note"].to_string();
    assert!(note.starts_with("nnn") && note.ends_with(MARK), "{note}");
}

#[test]
fn a_service_name_of_70_kilobytes_does_not_lose_the_trace() {
    let name = "n".repeat(70 << 10);
    for scene in Scene::each_with(|service| service.env("OTEL_SERVICE_NAME", &name)) {
        let id = query(&scene.service);
        let api = scene.jaeger.api();
        eventually("the trace", || {
            let mut names = api.services().into_iter();
            names.find(|name| name.starts_with("nnn") && api.find(&id, name).is_some())
        });
    }
}

#[test]
fn too_many_or_too_long_resource_attributes_do_not_lose_the_trace() {
    let many: Vec<_> = (0..7_000).map(|n| format!("k{n:04}=v")).collect();
    for attributes in [many.join(","), format!("{}=v", "k".repeat(70 << 10))] {
        let variable = "OTEL_RESOURCE_ATTRIBUTES";
        for scene in Scene::each_with(|service| service.env(variable, &attributes)) {
            assert_eq!(scene.trace().root().operation, ROOT);
        }
    }
}

/// This many stores that fail, each with two spans.
fn failing_stores(service: Builder, count: usize) -> Builder {
    let long = "x".repeat(90);
    (0..count).fold(service, |service, store| {
        service.store(format!("s{store}=rkt+unix:///nowhere/{long}"))
    })
}

#[test]
fn the_error_texts_of_40_failing_stores_do_not_lose_the_trace() {
    for scene in Scene::each_with(|service| failing_stores(service, 40)) {
        let trace = scene.trace_of(SPANS + 40 * 2);
        assert!(trace.root().is_error());
        assert_eq!(trace.spans_named(LIST_IMAGES).len(), 41);
    }
}

const DROPPED_SPANS: &str = "otel.dropped_spans_count";

/// Over UDP in a dozen datagrams: four times what the socket of Jaeger holds.
#[test]
fn the_largest_trace_arrives_whole_and_its_root_has_the_number_of_dropped_spans() {
    const ALL: usize = SPANS + 260 * 2;
    const SENT: usize = 1 + 512;
    for scene in Scene::each_with(|service| failing_stores(service, 260)) {
        let trace = scene.trace_of(SENT);
        let dropped = (ALL - SENT).to_string();
        assert_eq!(tag(trace.span(ROOT), DROPPED_SPANS), dropped);
        let spans = trace.spans.iter();
        let marked = spans.filter(|span| span.text(DROPPED_SPANS).is_some());
        assert_eq!(marked.count(), 1);
    }
}

#[test]
fn a_complete_trace_has_no_number_of_dropped_spans() {
    for scene in Scene::each() {
        assert_eq!(scene.trace().root().text(DROPPED_SPANS), None);
    }
}
