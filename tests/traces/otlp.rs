//! Traces over OTLP, received by a collector that is generated from the official .proto files.

use std::collections::BTreeSet;

use lab::otlp_collector::{Behaviour, FlatSpan, OtlpCollector};
use lab::rkt_api_service::{self, StandIn};
use lab::service::{Builder, PATIENCE, ReservedPort, Service};

use super::{
    CONNECT, GET_INFO, IMAGES, LIST_IMAGES, ROOT, program, store, traces, wait_for_traces,
};

/// `Span.SpanKind` and `Status.StatusCode` of the .proto files.
const KIND_INTERNAL: i32 = 1;
const KIND_CLIENT: i32 = 3;
const STATUS_ERROR: i32 = 2;

struct Scene {
    store: StandIn,
    collector: OtlpCollector,
    service: Service,
}

impl Scene {
    fn set() -> Self {
        Self::with(|builder| builder)
    }

    fn with(configure: impl FnOnce(Builder) -> Builder) -> Self {
        let store = store();
        let collector = OtlpCollector::bind();
        let builder = exporting_to(&collector.endpoint()).store(store.url());
        Self {
            service: configure(builder).start(),
            store,
            collector,
        }
    }

    fn trace(&self) -> Vec<FlatSpan> {
        self.service.query();
        self.next_trace()
    }

    fn next_trace(&self) -> Vec<FlatSpan> {
        let request = self.collector.next_request(PATIENCE);
        FlatSpan::all(&request.expect("a trace reaches the collector"))
    }
}

fn exporting_to(endpoint: &str) -> Builder {
    program()
        .env("OTEL_TRACES_EXPORTER", "otlp")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
}

#[track_caller]
fn span<'a>(trace: &'a [FlatSpan], name: &str) -> &'a FlatSpan {
    let mut named = trace.iter().filter(|span| span.span.name == name);
    match (named.next(), named.next()) {
        (Some(span), None) => span,
        _ => panic!("not one span {name}: {trace:#?}"),
    }
}

fn text(span: &FlatSpan, attribute: &str) -> String {
    span.text(attribute).unwrap_or_default()
}

fn status_code(span: &FlatSpan) -> i32 {
    span.span.status.as_ref().map_or(0, |status| status.code)
}

/// Runs a query, which succeeds whether its trace is delivered or not.
fn query(service: &Service) {
    let status = service.query();
    assert!(status.contains(&format!("{IMAGES} images")), "{status}");
}

#[test]
fn without_a_collector_every_trace_is_counted_as_failed_and_every_query_succeeds() {
    let store = store();
    let unused = ReservedPort::reserve();
    let service = exporting_to(&format!("http://{}", unused.address()))
        .store(store.url())
        .start();
    for _ in 0..3 {
        query(&service);
    }
    wait_for_traces(&service, "failed", 3);
    assert!(service.stop().success());
}

#[test]
fn a_trace_that_the_collector_refuses_is_lost_and_the_next_one_arrives() {
    let scene = Scene::set();
    scene.collector.behave(Behaviour::Fail {
        code: tonic::Code::PermissionDenied,
        message: "no".to_owned(),
    });
    query(&scene.service);
    wait_for_traces(&scene.service, "failed", 1);
    scene.collector.behave(Behaviour::Answer);
    query(&scene.service);
    wait_for_traces(&scene.service, "exported", 1);
}

#[test]
fn a_collector_that_hangs_delays_neither_queries_nor_the_exit() {
    let scene = Scene::with(|service| service.env("OTEL_EXPORTER_OTLP_TIMEOUT", "600000"));
    scene.collector.behave(Behaviour::Hang);
    query(&scene.service);
    scene.next_trace();
    query(&scene.service);
    assert_eq!(traces(&scene.service, "exported"), 0.0);
    assert_eq!(scene.service.stop().code(), Some(0));
}

#[test]
fn a_trace_whose_spans_are_rejected_has_failed_and_the_collectors_message_is_a_warning() {
    let scene = Scene::set();
    scene.collector.behave(Behaviour::Partial {
        rejected_spans: 4,
        error_message: "quota\nexceeded".to_owned(),
    });
    query(&scene.service);
    wait_for_traces(&scene.service, "failed", 1);
    let warned = |text: &str| text.contains("trace not exported");
    let line = scene.service.wait_for_stderr(warned, PATIENCE);
    let line = line.lines().find(|line| warned(line)).unwrap_or_default();
    for words in [" WARN ", "rejected 4 spans", "quota\\nexceeded"] {
        assert!(line.contains(words), "{words}: {line}");
    }
    assert_eq!(traces(&scene.service, "exported"), 0.0);
}

#[test]
fn an_overlong_message_of_the_collector_is_truncated() {
    let scene = Scene::set();
    scene.collector.behave(Behaviour::Partial {
        rejected_spans: 1,
        error_message: "x".repeat(1 << 20),
    });
    query(&scene.service);
    wait_for_traces(&scene.service, "failed", 1);
    assert!(scene.service.stop().success());
    let stderr = scene.service.stderr();
    assert!(stderr.len() < 4096 && stderr.contains("[cut]"), "{stderr}");
}

#[test]
fn a_warning_of_a_collector_that_accepts_is_logged_once_and_the_trace_is_exported() {
    let scene = Scene::set();
    scene.collector.behave(Behaviour::Partial {
        rejected_spans: 0,
        error_message: "attribute of another age".to_owned(),
    });
    for count in 1..=2 {
        query(&scene.service);
        wait_for_traces(&scene.service, "exported", count);
    }
    assert!(scene.service.stop().success());
    let stderr = scene.service.stderr();
    let warnings: Vec<_> = stderr
        .lines()
        .filter(|line| line.contains("attribute of another age"))
        .collect();
    assert_eq!(warnings.len(), 1, "{stderr}");
    assert!(warnings[0].contains(" WARN "), "{stderr}");
}

#[test]
fn a_partial_success_without_rejected_spans_and_message_is_a_success() {
    let scene = Scene::set();
    scene.collector.behave(Behaviour::Partial {
        rejected_spans: 0,
        error_message: String::new(),
    });
    query(&scene.service);
    wait_for_traces(&scene.service, "exported", 1);
    assert!(scene.service.stop().success());
    assert!(!scene.service.stderr().contains(" WARN "));
}

#[test]
fn a_trace_with_a_malformed_status_is_lost_and_the_next_one_arrives() {
    let scene = Scene::set();
    for (failed, details) in (1..).zip(["!!!", "AB==", "AA,AA", "\u{ff}"]) {
        let details = details.to_owned();
        scene.collector.behave(Behaviour::BreakDetails(details));
        query(&scene.service);
        wait_for_traces(&scene.service, "failed", failed);
    }
    assert!(!scene.service.stderr().contains("panicked"));
    scene.collector.behave(Behaviour::Answer);
    query(&scene.service);
    wait_for_traces(&scene.service, "exported", 1);
}

#[test]
fn a_trace_is_sent_again_after_a_transient_failure() {
    let scene = Scene::set();
    scene.collector.behave(Behaviour::FailOnce {
        code: tonic::Code::Unavailable,
        message: "starting".to_owned(),
    });
    query(&scene.service);
    let first = scene
        .collector
        .next_request(PATIENCE)
        .expect("the trace arrives");
    assert_eq!(scene.collector.next_request(PATIENCE), Some(first));
    wait_for_traces(&scene.service, "exported", 1);
}

#[test]
fn the_queue_of_traces_is_bounded_and_dropped_traces_cause_one_warning() {
    /// The number of traces that can wait behind the one that is being sent.
    const QUEUE: usize = 64;
    let scene = Scene::with(|service| service.env("OTEL_EXPORTER_OTLP_TIMEOUT", "600000"));
    scene.collector.behave(Behaviour::Hang);
    query(&scene.service);
    assert!(scene.collector.next_request(PATIENCE).is_some());
    for _ in 0..QUEUE + 2 {
        query(&scene.service);
    }
    wait_for_traces(&scene.service, "dropped", 2);
    let warned = |text: &str| text.contains(" WARN ") && text.contains("64 traces are waiting");
    scene.service.wait_for_stderr(warned, PATIENCE);
    assert!(scene.service.stop().success());
    let stderr = scene.service.stderr();
    assert_eq!(stderr.matches("trace not exported").count(), 1, "{stderr}");
}

#[test]
fn the_endpoint_for_traces_takes_precedence_over_the_general_one() {
    let store = store();
    let (general, of_traces) = (OtlpCollector::bind(), OtlpCollector::bind());
    let service = exporting_to(&general.endpoint())
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", of_traces.endpoint())
        .store(store.url())
        .start();
    query(&service);
    assert!(of_traces.next_request(PATIENCE).is_some());
    assert!(service.stop().success());
    assert!(general.next_call(std::time::Duration::ZERO).is_none());
    let line = format!(
        "traces=\"otlp {} (OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)\"",
        of_traces.endpoint()
    );
    assert!(service.stderr().contains(&line), "{}", service.stderr());
}

#[test]
fn headers_are_sent_and_those_for_traces_replace_the_general_ones() {
    let header = |scene: &Scene, name: &str| {
        query(&scene.service);
        let call = scene
            .collector
            .next_call(PATIENCE)
            .expect("a trace arrives");
        let value = call.metadata.get(name)?;
        Some(value.to_str().expect("the value is ASCII").to_owned())
    };
    let general = (
        "OTEL_EXPORTER_OTLP_HEADERS",
        "Authorization=Basic%20a%3D=, b=c",
    );
    let scene = Scene::with(|service| service.env(general.0, general.1));
    assert_eq!(
        header(&scene, "authorization").as_deref(),
        Some("Basic a==")
    );
    assert_eq!(header(&scene, "b").as_deref(), Some("c"));
    let scene = Scene::with(|service| {
        service
            .env(general.0, general.1)
            .env("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "b=d")
    });
    assert_eq!(header(&scene, "b").as_deref(), Some("d"));
    assert_eq!(header(&scene, "authorization"), None);
}

#[test]
fn the_timeout_limits_sending_and_the_one_for_traces_takes_precedence() {
    let scene = Scene::with(|service| {
        service
            .env("OTEL_EXPORTER_OTLP_TIMEOUT", "600000")
            .env("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "50")
    });
    scene.collector.behave(Behaviour::Hang);
    query(&scene.service);
    wait_for_traces(&scene.service, "failed", 1);
    let timed_out = |text: &str| text.contains("not sent within 50ms");
    scene.service.wait_for_stderr(timed_out, PATIENCE);
}

#[test]
fn the_error_for_the_port_of_otlp_over_http_names_the_grpc_port() {
    // Port 4318 of this loopback address may be in use; the advice is the same for a refused connection and a refused call.
    let store = store();
    let service = exporting_to("http://127.99.99.99:4318")
        .store(store.url())
        .start();
    query(&service);
    wait_for_traces(&service, "failed", 1);
    let warned = |text: &str| text.contains("trace not exported");
    let line = service.wait_for_stderr(warned, PATIENCE);
    assert!(line.contains("4317"), "{line}");
}

#[test]
fn resource_attributes_are_decoded() {
    let scene = Scene::with(|service| {
        service.env(
            "OTEL_RESOURCE_ATTRIBUTES",
            "site=Z%C3%BCrich%20Nord, a%3Db = c%2Cd ,service.version=seven",
        )
    });
    for span in scene.trace() {
        let resource = |name| span.resource_text(name).unwrap_or_default();
        assert_eq!(resource("site"), "Zürich Nord");
        assert_eq!(resource("a=b"), "c,d");
        // The operator's version takes precedence over the program's.
        assert_eq!(resource("service.version"), "seven");
        assert_eq!(resource("service.name"), "exp-rkt-grpc");
        assert_eq!(span.resource_text("a%3Db"), None);
    }
}

#[test]
fn the_trace_of_a_query_is_one_export_call() {
    let scene = Scene::set();
    let trace = scene.trace();
    let mut names: Vec<_> = trace.iter().map(|span| span.span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, [CONNECT, ROOT, GET_INFO, LIST_IMAGES]);
    let ids: BTreeSet<_> = trace.iter().map(FlatSpan::trace_id).collect();
    assert_eq!(ids.len(), 1);
    wait_for_traces(&scene.service, "exported", 1);
}

#[test]
fn parents_and_kinds_are_those_of_the_jaeger_trace() {
    let trace = Scene::set().trace();
    let [root, list_images, get_info, connect] =
        [ROOT, LIST_IMAGES, GET_INFO, CONNECT].map(|name| span(&trace, name));
    assert_eq!(root.parent_span_id(), 0);
    assert_eq!(list_images.parent_span_id(), root.span_id());
    assert_eq!(get_info.parent_span_id(), root.span_id());
    assert_eq!(connect.parent_span_id(), list_images.span_id());
    assert_eq!(root.span.kind, KIND_INTERNAL);
    assert_eq!(list_images.span.kind, KIND_CLIENT);
    assert_eq!(get_info.span.kind, KIND_CLIENT);
}

#[test]
fn attributes_are_those_of_the_jaeger_trace_and_integers_are_integers() {
    let scene = Scene::set();
    let trace = scene.trace();
    assert_eq!(text(span(&trace, ROOT), "trigger"), "signal");
    let call = span(&trace, LIST_IMAGES);
    assert_eq!(text(call, "rpc.system.name"), "grpc");
    assert_eq!(text(call, "rpc.method"), LIST_IMAGES);
    assert_eq!(text(call, "rpc.response.status_code"), "OK");
    assert_eq!(text(call, "server.address"), "127.0.0.1");
    let port = scene.store.address().port();
    for (attribute, number) in [("server.port", port.into()), ("imagestore.images", IMAGES)] {
        let value = format!("{:?}", call.attributes.get(attribute));
        assert_eq!(value, format!("Some(IntValue({number}))"), "{attribute}");
    }
}

#[test]
fn a_failure_is_the_status_of_the_call_and_of_the_root() {
    let scene = Scene::set();
    scene.store.behave(rkt_api_service::Behaviour::Fail(
        tonic::Status::unavailable("come back later"),
    ));
    let trace = scene.trace();
    for name in [ROOT, LIST_IMAGES] {
        let failed = span(&trace, name);
        assert_eq!(status_code(failed), STATUS_ERROR);
        let message = failed.span.status.clone().unwrap_or_default().message;
        assert!(message.contains("come back later"), "{message}");
    }
    let call = span(&trace, LIST_IMAGES);
    assert_eq!(text(call, "rpc.response.status_code"), "UNAVAILABLE");
    assert_eq!(text(call, "error.type"), "UNAVAILABLE");
}

#[test]
fn the_resource_names_the_service() {
    let scene = Scene::with(|service| {
        service
            .env("OTEL_SERVICE_NAME", "images")
            .env("OTEL_RESOURCE_ATTRIBUTES", "host.name=seven")
    });
    for span in scene.trace() {
        let resource = |name| span.resource_text(name).unwrap_or_default();
        assert_eq!(resource("service.name"), "images");
        assert_eq!(resource("service.version"), env!("CARGO_PKG_VERSION"));
        assert_eq!(resource("host.name"), "seven");
        assert_eq!(span.scope, env!("CARGO_PKG_NAME"));
    }
}

#[test]
fn the_exporters_own_calls_are_not_traced() {
    let loud =
        "exp_rkt_grpc=trace,h2=trace,hyper=trace,tower=trace,tonic=trace,opentelemetry=trace";
    let scene = Scene::with(|service| service.arg("--log-level").arg(loud));
    for _ in 0..3 {
        query(&scene.service);
    }
    wait_for_traces(&scene.service, "exported", 3);
    assert!(scene.service.stop().success());
    for _ in 0..3 {
        let call = scene
            .collector
            .next_call(PATIENCE)
            .expect("every query has a trace");
        assert!(call.metadata.get("traceparent").is_none(), "{call:?}");
        assert_eq!(FlatSpan::all(&call.request).len(), 4);
    }
    assert!(
        scene
            .collector
            .next_call(std::time::Duration::ZERO)
            .is_none()
    );
}

#[test]
fn over_otlp_the_trace_of_a_query_that_has_just_ended_arrives_before_the_exit() {
    let scene = Scene::set();
    query(&scene.service);
    assert!(scene.service.stop().success());
    assert_eq!(scene.next_trace().len(), 4);
}
