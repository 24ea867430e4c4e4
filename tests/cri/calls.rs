//! The calls that the runtime receives.

use lab::cri_runtime::{Behaviour, Call, Images, Method, Request, StandIn, v1};
use lab::jaeger_agent::JaegerAgent;
use lab::service::PATIENCE;
use tonic::Status;

use super::{Scene, program};

/// A runtime, and the agent that receives the traces of its queries.
fn traced() -> (Scene, JaegerAgent) {
    let agent = JaegerAgent::bind();
    let scene = Scene::with(Images::generated(3), |builder| {
        builder
            .env("OTEL_TRACES_EXPORTER", "jaeger")
            .env("OTEL_EXPORTER_JAEGER_AGENT_PORT", agent.port().to_string())
    });
    (scene, agent)
}

/// Runs a query, and returns the spans that are marked as errors, with their types.
fn errors(scene: &Scene, agent: &JaegerAgent) -> Vec<(String, Option<String>)> {
    scene.ask();
    let trace = agent.next_trace(PATIENCE);
    let failed = trace.spans.iter().filter(|span| span.is_error());
    let mut failed: Vec<_> = failed
        .map(|span| (span.operation.clone(), span.text("error.type")))
        .collect();
    failed.sort();
    failed
}

fn call_of(calls: &[Call], method: Method) -> &Call {
    let mut calls = calls.iter().filter(|call| call.method() == Some(method));
    calls.next().expect("the method was called")
}

/// The call for the containers is given up when the list has failed.
#[test]
fn a_call_that_is_given_up_is_cancelled_in_its_span() {
    let (scene, agent) = traced();
    scene
        .runtime
        .behave_for(Method::StreamContainers, Behaviour::Hang);
    let failing = Behaviour::Fail(Status::unknown("the plugin is broken"));
    scene.runtime.behave_for(Method::StreamImages, failing);
    scene.service.query();
    let trace = agent.next_trace(PATIENCE);
    let span = trace.span("runtime.v1.RuntimeService/StreamContainers");
    let status = span.text("rpc.response.status_code");
    assert_eq!(status.as_deref(), Some("CANCELLED"), "{}", trace.render());
}

#[test]
fn a_query_is_one_connection_with_three_calls_and_one_for_the_containers() {
    let scene = Scene::of(Images::generated(3));
    let methods = scene.methods_asked();
    assert_eq!(methods.len(), 4);
    assert_eq!(methods[0], Method::StreamImages);
    let side_calls = [
        Method::StreamContainers,
        Method::Version,
        Method::ImageFsInfo,
    ];
    for side_call in side_calls {
        assert!(methods.contains(&side_call), "{methods:?}");
    }
    assert_eq!(scene.runtime.connections(), 2);
}

#[test]
fn the_requests_have_no_filter() {
    let scene = Scene::of(Images::generated(3));
    scene.runtime.without(Method::StreamImages);
    scene.ask();
    let calls = scene.runtime.calls();
    let stream = call_of(&calls, Method::StreamImages).request.as_ref();
    let unfiltered = v1::StreamImagesRequest { filter: None };
    assert_eq!(stream.unwrap(), &Request::StreamImages(unfiltered));
    let list = call_of(&calls, Method::ListImages).request.as_ref();
    let unfiltered = v1::ListImagesRequest { filter: None };
    assert_eq!(list.unwrap(), &Request::ListImages(unfiltered));
}

#[test]
fn the_authority_at_a_unix_socket_is_localhost() {
    let scene = Scene::of(Images::generated(3));
    scene.ask();
    for call in scene.runtime.calls() {
        assert_eq!(call.authority.as_deref(), Some("localhost"), "{call}");
    }
}

#[test]
fn the_authority_over_tcp_is_the_address() {
    let runtime = StandIn::tcp(Images::generated(3));
    let service = program().store(runtime.url()).start();
    service.query();
    let address = runtime.address().to_string();
    for call in runtime.calls() {
        assert_eq!(call.authority.as_ref(), Some(&address), "{call}");
    }
}

#[test]
fn an_unimplemented_call_is_an_error_of_its_own_span_and_not_of_the_query() {
    let (scene, agent) = traced();
    let error_of = |method: &str| (method.to_owned(), Some("UNIMPLEMENTED".to_owned()));
    scene.runtime.without(Method::StreamImages);
    let stream = error_of("runtime.v1.ImageService/StreamImages");
    assert_eq!(errors(&scene, &agent), [stream]);
    // The next query does not ask for the stream again.
    assert_eq!(errors(&scene, &agent), []);
    scene.runtime.without(Method::ImageFsInfo);
    scene.runtime.without(Method::Version);
    let info = error_of("runtime.v1.ImageService/ImageFsInfo");
    let version = error_of("runtime.v1.RuntimeService/Version");
    assert_eq!(errors(&scene, &agent), [info, version]);
}
