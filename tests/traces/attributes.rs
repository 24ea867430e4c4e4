//! The attributes of the spans, of their events and of their process.

use lab::jaeger_agent::{Log, Process, Value};
use lab::rkt_api_service::{Behaviour, Images, Method, StandIn};
use tonic::Status;

use super::{CONNECT, GET_INFO, IMAGES, LIST_IMAGES, SERVICE, SPANS, Scene, next_id, query, tag};

fn field(log: &Log, name: &str) -> Option<String> {
    log.fields.get(name).map(Value::to_string)
}

#[test]
fn the_root_has_the_trigger() {
    for scene in Scene::each_with(|service| service.arg("--query-at-start")) {
        let startup = scene.find(&next_id(&scene.service, ""), SPANS);
        assert_eq!(tag(startup.root(), "trigger"), "startup");
        assert_eq!(tag(scene.trace().root(), "trigger"), "signal");
    }
}

#[test]
fn a_call_has_the_attributes_of_the_rpc_conventions() {
    for scene in Scene::each() {
        let trace = scene.trace();
        for method in [LIST_IMAGES, GET_INFO] {
            let call = trace.span(method);
            assert_eq!(tag(call, "rpc.system.name"), "grpc");
            assert_eq!(tag(call, "rpc.method"), method);
            assert_eq!(tag(call, "rpc.response.status_code"), "OK");
            assert_eq!(tag(call, "server.address"), "127.0.0.1");
            assert_eq!(tag(call, "imagestore.store"), "rkt");
            assert!(!call.is_error());
            assert_eq!(call.text("error.type"), None);
        }
    }
}

#[test]
fn ports_and_counts_are_integers() {
    for scene in Scene::each() {
        let trace = scene.trace();
        let port = Value::Long(scene.store.address().port().into());
        for span in [CONNECT, LIST_IMAGES, GET_INFO] {
            assert_eq!(trace.span(span).tags.get("server.port"), Some(&port));
        }
        let images = Value::Long(IMAGES as i64);
        let list_images = trace.span(LIST_IMAGES);
        assert_eq!(list_images.tags.get("imagestore.images"), Some(&images));
    }
}

#[test]
fn a_unix_socket_is_an_address_without_a_port() {
    let path = std::env::temp_dir().join(format!("exp-rkt-grpc-traces-{}", std::process::id()));
    let store = StandIn::unix(&path, Images::generated(IMAGES)).expect("the path is free");
    for scene in Scene::each_with(|service| service.store(format!("unix={}", store.url()))) {
        let trace = scene.trace_of(7);
        let of_unix = |name| {
            let mut spans = trace.spans_named(name).into_iter();
            spans.find(|span| span.text("server.port").is_none())
        };
        for name in [CONNECT, LIST_IMAGES, GET_INFO] {
            let span = of_unix(name).expect("the Unix socket has no port");
            assert_eq!(tag(span, "server.address"), path.display().to_string());
        }
    }
}

#[test]
fn spans_have_only_attributes_of_the_conventions_and_of_image_stores() {
    let known = ["rpc.", "server.", "imagestore.", "span.kind", "trigger"];
    // Jaeger's tags for the scope: of Thrift and of OTLP.
    let scope = ["otel.library.name", "otel.scope.name"];
    for scene in Scene::each() {
        for span in &scene.trace().spans {
            let (scopes, others): (Vec<_>, Vec<_>) = span
                .tags
                .keys()
                .partition(|name| scope.contains(&name.as_str()));
            let is_known = |name: &&String| known.iter().any(|known| name.starts_with(known));
            assert!(others.iter().all(is_known), "{span:#?}");
            let [name] = scopes[..] else {
                panic!("{span:#?}");
            };
            assert_eq!(tag(span, name), SERVICE);
        }
    }
}

#[test]
fn the_count_is_an_event_of_the_root() {
    for scene in Scene::each() {
        let trace = scene.trace();
        let [counted] = &trace.root().logs[..] else {
            panic!("{}", trace.render());
        };
        assert_eq!(counted.name().as_deref(), Some("images counted"));
        assert_eq!(field(counted, "imagestore.store").as_deref(), Some("rkt"));
        let images = Value::Long(IMAGES as i64);
        assert_eq!(counted.fields.get("imagestore.images"), Some(&images));
    }
}

#[test]
fn a_failed_version_call_is_an_error_of_its_own_span_only() {
    for scene in Scene::each() {
        let unknown = Behaviour::Fail(Status::unimplemented("what is info?"));
        scene.store.behave_for(Method::GetInfo, unknown);
        let trace = scene.trace();
        let get_info = trace.span(GET_INFO);
        assert!(get_info.is_error());
        assert_eq!(tag(get_info, "rpc.response.status_code"), "UNIMPLEMENTED");
        assert!(!trace.span(LIST_IMAGES).is_error());
        assert!(!trace.root().is_error());
    }
}

/// The process of a query of each exporter with these variables, which name the service like this.
fn processes(service: &str, variables: &[(&str, &str)]) -> impl Iterator<Item = Process> {
    let set = move |builder| {
        let set = variables.iter();
        set.fold(builder, |builder: lab::service::Builder, (name, value)| {
            builder.env(name, value)
        })
    };
    Scene::each_with(set).map(move |scene| {
        let id = query(&scene.service);
        scene.jaeger.api().trace(&id, service, SPANS).process
    })
}

const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
const NAME: &str = "OTEL_SERVICE_NAME";

fn text(process: &Process, tag: &str) -> Option<String> {
    process.tags.get(tag).map(Value::to_string)
}

#[test]
fn the_process_is_named_after_the_program_and_has_its_version() {
    for process in processes(env!("CARGO_PKG_NAME"), &[]) {
        let version = text(&process, "service.version");
        assert_eq!(version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn otel_service_name_names_the_process_and_takes_precedence_over_otel_resource_attributes() {
    let named = (NAME, "images of host 7");
    let attributes = (ATTRIBUTES, "service.name=seven");
    for (service, variables) in [
        ("images of host 7", &[named][..]),
        ("seven", &[attributes]),
        ("images of host 7", &[attributes, named]),
    ] {
        for process in processes(service, variables) {
            assert_eq!(process.service, service);
        }
    }
}

#[test]
fn otel_resource_attributes_are_decoded_tags_of_the_process() {
    let attributes = "site=Z%C3%BCrich%20Nord, a%3Db = c%2Cd ,service.version=seven";
    for process in processes(SERVICE, &[(ATTRIBUTES, attributes)]) {
        let text = |tag| text(&process, tag).unwrap_or_default();
        assert_eq!(text("site"), "Zürich Nord");
        assert_eq!(text("a=b"), "c,d");
        // The operator's version takes precedence over the program's.
        assert_eq!(text("service.version"), "seven");
        assert_eq!(process.tags.get("a%3Db"), None);
    }
}

#[test]
fn every_call_to_the_store_has_a_traceparent_with_its_trace_and_span() {
    for scene in Scene::each() {
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
}
