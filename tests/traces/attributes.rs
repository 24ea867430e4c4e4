//! The attributes of the spans and of their process.

use std::time::Duration;

use lab::jaeger_agent::{JaegerAgent, Log, Value};
use lab::rkt_api_service::{Behaviour, Images, Method, StandIn};
use lab::service::PATIENCE;
use tonic::Status;

use super::{
    CONNECT, GET_INFO, IMAGES, LIST_IMAGES, ROOT, Scene, exporting_to, tag, wait_for_traces,
};

fn field(log: &Log, name: &str) -> Option<String> {
    log.fields.get(name).map(Value::to_string)
}

#[test]
fn the_root_is_internal_and_has_the_trigger() {
    let trace = Scene::set().trace();
    let root = trace.root();
    assert_eq!(tag(root, "trigger"), "signal");
    // Jaeger treats a span without a kind as internal.
    assert!(matches!(
        root.text("span.kind").as_deref(),
        None | Some("internal")
    ));
}

#[test]
fn the_query_at_the_start_has_the_trigger_startup() {
    let scene = Scene::with(|service| service.arg("--query-at-start"));
    let trace = scene.agent.next_trace(PATIENCE);
    assert_eq!(tag(trace.root(), "trigger"), "startup");
}

#[test]
fn a_call_is_a_client_span_with_the_attributes_of_the_rpc_conventions() {
    let scene = Scene::set();
    let trace = scene.trace();
    for method in [LIST_IMAGES, GET_INFO] {
        let call = trace.span(method);
        assert_eq!(tag(call, "span.kind"), "client");
        assert_eq!(tag(call, "rpc.system.name"), "grpc");
        assert_eq!(tag(call, "rpc.method"), method);
        assert_eq!(tag(call, "rpc.response.status_code"), "OK");
        assert_eq!(tag(call, "server.address"), "127.0.0.1");
        assert_eq!(tag(call, "imagestore.store"), "rkt");
        assert!(!call.is_error());
        assert_eq!(call.text("error.type"), None);
    }
}

#[test]
fn ports_and_counts_are_integers() {
    let scene = Scene::set();
    let trace = scene.trace();
    let port = Value::Long(scene.store.address().port().into());
    for span in [CONNECT, LIST_IMAGES, GET_INFO] {
        assert_eq!(trace.span(span).tags.get("server.port"), Some(&port));
    }
    let images = Value::Long(IMAGES as i64);
    let list_images = trace.span(LIST_IMAGES);
    assert_eq!(list_images.tags.get("imagestore.images"), Some(&images));
}

#[test]
fn a_unix_socket_is_an_address_without_a_port() {
    let path = std::env::temp_dir().join(format!("exp-rkt-grpc-traces-{}", std::process::id()));
    let store = StandIn::unix(&path, Images::generated(IMAGES)).expect("the path is free");
    let agent = JaegerAgent::bind();
    let service = exporting_to(agent.address()).store(store.url()).start();
    service.query();
    let trace = agent.next_trace(PATIENCE);
    for span in [CONNECT, LIST_IMAGES, GET_INFO] {
        let span = trace.span(span);
        assert_eq!(tag(span, "server.address"), path.display().to_string());
        assert_eq!(span.text("server.port"), None);
    }
}

#[test]
fn spans_have_only_attributes_of_the_conventions_and_of_image_stores() {
    let trace = Scene::set().trace();
    for span in &trace.spans {
        let strange: Vec<_> = span
            .tags
            .keys()
            .filter(|name| {
                let known = [
                    "rpc.",
                    "server.",
                    "imagestore.",
                    "otel.",
                    "span.kind",
                    "trigger",
                ];
                !known.iter().any(|prefix| name.starts_with(prefix))
            })
            .collect();
        assert!(strange.is_empty(), "{}: {strange:?}", span.operation);
    }
}

#[test]
fn every_span_is_sampled() {
    let trace = Scene::set().trace();
    assert!(trace.spans.iter().all(|span| span.flags & 1 == 1));
}

#[test]
fn the_count_is_an_event_of_the_root() {
    let trace = Scene::set().trace();
    let [counted] = &trace.root().logs[..] else {
        panic!("{}", trace.render());
    };
    assert_eq!(counted.name().as_deref(), Some("images counted"));
    assert_eq!(field(counted, "imagestore.store").as_deref(), Some("rkt"));
    assert_eq!(
        counted.fields.get("imagestore.images"),
        Some(&Value::Long(IMAGES as i64))
    );
}

#[test]
fn a_failure_is_an_event_of_the_root() {
    let scene = Scene::set();
    scene
        .store
        .behave(Behaviour::Fail(Status::permission_denied("not for you")));
    let trace = scene.trace();
    let [failed] = &trace.root().logs[..] else {
        panic!("{}", trace.render());
    };
    assert_eq!(failed.name().as_deref(), Some("query failed"));
    assert_eq!(field(failed, "code").as_deref(), Some("PERMISSION_DENIED"));
    let error = field(failed, "error").expect("the event has the error");
    assert!(error.contains("not for you"), "{error}");
}

#[test]
fn a_failed_version_call_is_an_error_of_its_own_span_only() {
    let scene = Scene::set();
    let unknown = Behaviour::Fail(Status::unimplemented("what is info?"));
    scene.store.behave_for(Method::GetInfo, unknown);
    let trace = scene.trace();
    let get_info = trace.span(GET_INFO);
    assert!(get_info.is_error());
    assert_eq!(tag(get_info, "rpc.response.status_code"), "UNIMPLEMENTED");
    assert!(!trace.span(LIST_IMAGES).is_error());
    assert!(!trace.root().is_error());
}

#[test]
fn the_process_is_named_after_the_program() {
    let process = Scene::set().trace().process;
    assert_eq!(process.service, env!("CARGO_PKG_NAME"));
    let version = Value::String(env!("CARGO_PKG_VERSION").to_owned());
    assert_eq!(process.tags.get("service.version"), Some(&version));
}

#[test]
fn otel_service_name_names_the_process() {
    let scene = Scene::with(|service| service.env("OTEL_SERVICE_NAME", "images of host 7"));
    assert_eq!(scene.trace().process.service, "images of host 7");
}

#[test]
fn otel_resource_attributes_are_tags_of_the_process() {
    let scene = Scene::with(|service| {
        service.env(
            "OTEL_RESOURCE_ATTRIBUTES",
            "host.name=seven,deployment.environment.name=lab",
        )
    });
    let tags = scene.trace().process.tags;
    let text = |text: &str| Value::String(text.to_owned());
    assert_eq!(tags.get("host.name"), Some(&text("seven")));
    assert_eq!(tags.get("deployment.environment.name"), Some(&text("lab")));
}

#[test]
fn the_service_name_of_otel_resource_attributes_names_the_process() {
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=seven");
    let scene = Scene::with(|service| service.env(attributes.0, attributes.1));
    assert_eq!(scene.trace().process.service, "seven");
}

#[test]
fn otel_service_name_wins_over_otel_resource_attributes() {
    let scene = Scene::with(|service| {
        service
            .env("OTEL_RESOURCE_ATTRIBUTES", "service.name=seven")
            .env("OTEL_SERVICE_NAME", "eight")
    });
    assert_eq!(scene.trace().process.service, "eight");
}

#[test]
fn every_call_to_the_store_has_a_traceparent_with_its_trace_and_span() {
    let scene = Scene::set();
    let trace = scene.trace();
    let calls = scene.store.calls();
    assert_eq!(calls.len(), 2);
    for call in calls {
        let method = call.path.trim_start_matches('/');
        let parent = trace.span(method).span_id;
        let expected = format!("00-{}-{parent:016x}-01", trace.id_hex());
        assert_eq!(call.header("traceparent"), Some(expected.as_str()));
    }
}

#[test]
fn without_an_exporter_there_is_no_trace() {
    let scene = Scene::with(|service| service.env("OTEL_TRACES_EXPORTER", "none"));
    scene.service.query();
    for outcome in ["exported", "failed", "dropped"] {
        wait_for_traces(&scene.service, outcome, 0);
    }
    let calls = scene.store.calls();
    assert!(
        calls
            .iter()
            .all(|call| call.header("traceparent").is_none())
    );
    assert!(scene.service.stop().success());
    assert!(!scene.service.stderr().contains("trace_id"));
    assert_eq!(scene.agent.next_datagram(Duration::ZERO), None);
}

#[test]
fn a_log_level_of_error_does_not_stop_the_traces() {
    for level in ["error", "off"] {
        let scene = Scene::with(|service| service.arg("--log-level").arg(level));
        assert_eq!(scene.trace().root().operation, ROOT);
    }
}
