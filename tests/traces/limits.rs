//! Traces that would be too large for a datagram: their texts are truncated, they are sent in parts, and Jaeger has them whole.

use lab::jaeger::Jaeger;
use lab::jaeger_agent::Trace;
use lab::poll::eventually;
use lab::rkt_api_service::Behaviour;
use lab::service::{Builder, Service};
use tonic::Status;

use super::{Exporter, LIST_IMAGES, ROOT, SERVICE, SPANS, Scene, query, store, tag};

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

#[test]
fn the_error_texts_of_40_failing_stores_do_not_lose_the_trace() {
    let long = "x".repeat(90);
    let down = |n| format!("s{n}=rkt+unix:///nowhere/{long}");
    for scene in Scene::each_with(|service| (0..40).map(down).fold(service, Builder::store)) {
        let trace = scene.trace_of(SPANS + 40 * 2);
        assert!(trace.root().is_error());
        assert_eq!(trace.spans_named(LIST_IMAGES).len(), 41);
    }
}

const DROPPED_SPANS: &str = "otel.dropped_spans_count";

/// With the root.
const MOST_SPANS: usize = 512 + 1;

/// The trace of a query. It is repeated if Jaeger was too slow on a busy machine. Without pauses, nearly every trace loses datagrams.
#[track_caller]
fn trace_without_losses(jaeger: &Jaeger, start: impl Fn() -> Service) -> Trace {
    for _ in 0..10 {
        let before = jaeger.lost_datagrams();
        let service = start();
        let id = query(&service);
        // Then all datagrams have been sent.
        assert!(service.stop().success());
        if jaeger.lost_datagrams() == before {
            return jaeger.api().trace(&id, SERVICE, MOST_SPANS);
        }
    }
    panic!("Jaeger has lost datagrams of each trace");
}

/// Over UDP in more than 20 datagrams: Jaeger's socket holds three.
#[test]
fn the_largest_trace_arrives_whole_and_its_root_has_the_number_of_dropped_spans() {
    let (store, failing) = (store(), store());
    failing.behave(failing_with(4 << 10));
    for exporter in Exporter::BOTH {
        let Some(jaeger) = Jaeger::start() else {
            return;
        };
        println!("{exporter:?}");
        let stores = (0..260).map(|n| format!("s{n}={}", failing.url()));
        let trace = trace_without_losses(&jaeger, || {
            let service = exporter.to(&jaeger).store(store.url());
            stores.clone().fold(service, Builder::store).start()
        });
        assert_eq!(trace.spans.len(), MOST_SPANS);
        let marks = trace.spans.iter().map(|span| span.text(DROPPED_SPANS));
        let dropped = SPANS + 260 * 2 - MOST_SPANS;
        assert_eq!(marks.flatten().collect::<Vec<_>>(), [dropped.to_string()]);
        assert_eq!(tag(trace.span(ROOT), DROPPED_SPANS), dropped.to_string());
    }
}

#[test]
fn a_complete_trace_has_no_number_of_dropped_spans() {
    for scene in Scene::each() {
        assert_eq!(scene.trace().root().text(DROPPED_SPANS), None);
    }
}
