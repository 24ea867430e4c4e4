//! A collector that refuses, hangs or complains, and what is sent to it besides the traces.

use lab::otlp_collector::{Behaviour, OtlpCollector, spans};
use lab::rkt_api_service::StandIn;
use lab::service::{Builder, PATIENCE, Service};

use super::{IMAGES, SPANS, exporting_over_otlp, store, traces, wait_for_traces};

struct Scene {
    _store: StandIn,
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
        let builder = exporting_over_otlp(&collector.endpoint()).store(store.url());
        Self {
            service: configure(builder).start(),
            _store: store,
            collector,
        }
    }
}

/// Runs a query, which succeeds whether its trace is delivered or not.
fn query(service: &Service) {
    let status = service.query();
    assert!(status.contains(&format!("{IMAGES} images")), "{status}");
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
    assert!(scene.collector.next_request(PATIENCE).is_some());
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
    let service = exporting_over_otlp(&general.endpoint())
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
    let service = exporting_over_otlp("http://127.99.99.99:4318")
        .store(store.url())
        .start();
    query(&service);
    wait_for_traces(&service, "failed", 1);
    let warned = |text: &str| text.contains("trace not exported");
    let line = service.wait_for_stderr(warned, PATIENCE);
    assert!(line.contains("4317"), "{line}");
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
        assert_eq!(spans(call.request).len(), SPANS);
    }
    assert!(
        scene
            .collector
            .next_call(std::time::Duration::ZERO)
            .is_none()
    );
}
