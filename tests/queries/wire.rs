//! The calls that the store receives.

use lab::rkt_api_service::{Call, Images, Method, Request, StandIn};
use lab::service::{PATIENCE, Service};

use super::{IMAGES, Scene};

fn list_call(scene: &Scene) -> Call {
    scene.query();
    let calls = scene.store.calls();
    let mut lists = calls
        .into_iter()
        .filter(|call| call.method() == Some(Method::ListImages));
    let call = lists.next().expect("the images were listed");
    assert!(lists.next().is_none(), "the images were listed twice");
    call
}

#[test]
fn the_list_has_no_filter_and_no_details() {
    let call = list_call(&Scene::set());
    assert_eq!(call.path, "/v1alpha.PublicAPI/ListImages");
    let Ok(Request::ListImages(request)) = &call.request else {
        panic!("{call}");
    };
    assert!(!request.detail);
    assert_eq!(request.filters, []);
}

#[test]
fn the_headers_are_those_of_grpc() {
    let call = list_call(&Scene::set());
    assert_eq!(call.header("te"), Some("trailers"));
    assert_eq!(call.header("content-type"), Some("application/grpc"));
    assert_eq!(call.header("grpc-encoding"), None);
    let agent = call.header("user-agent").expect("it is sent");
    assert!(agent.starts_with("exp-rkt-grpc/"), "{agent}");
}

#[test]
fn the_deadline_is_sent_to_the_store() {
    let call = list_call(&Scene::with_deadline("30s"));
    let timeout = call.header("grpc-timeout").expect("it is sent");
    let millis: u64 = timeout
        .strip_suffix('m')
        .and_then(|digits| digits.parse().ok())
        .expect("the timeout is in milliseconds");
    assert!((1..=30_000).contains(&millis), "{timeout}");
}

#[test]
fn the_traceparent_sent_to_the_store_has_the_trace_id_of_the_log_line() {
    let store = StandIn::tcp(Images::generated(IMAGES));
    let service = Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
        .store(store.url())
        .start();
    service.query();
    let parent = store.calls()[0]
        .header("traceparent")
        .expect("it is sent")
        .to_owned();
    let parts: Vec<&str> = parent.split('-').collect();
    let [version, trace, span, flags] = parts[..] else {
        panic!("{parent}");
    };
    assert_eq!(
        (version, trace.len(), span.len(), flags),
        ("00", 32, 16, "01")
    );
    let log = service.wait_for_stderr(|log| log.contains("images counted"), PATIENCE);
    assert!(
        log.contains(&format!("trace_id={trace}")),
        "{parent} and {log}"
    );
}

#[test]
fn each_query_has_a_connection_of_its_own_and_leaves_none_behind() {
    let scene = Scene::set();
    for _ in 0..3 {
        scene.query();
    }
    assert_eq!(scene.store.connections(), 3);
    scene.store.wait_for_open_connections(0, PATIENCE);
}
