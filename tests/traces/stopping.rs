//! Traces that are in progress when the service is stopped.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;

use lab::jaeger_agent::Trace;
use lab::rkt_api_service::{Behaviour, Method};
use lab::service::{PATIENCE, Service, Signal};
use lab::skip;

use super::{LIST_IMAGES, SPANS, Scene, next_id, store, tag};

/// The trace of the only query, after the service has ended.
fn last_trace(scene: &Scene, spans: usize) -> Trace {
    assert!(scene.service.wait(PATIENCE).success());
    scene.find(&next_id(&scene.service, ""), spans)
}

#[test]
fn the_trace_of_an_abandoned_query_arrives_and_is_marked_as_cancelled() {
    let scenes: Vec<_> = Scene::each().collect();
    for scene in &scenes {
        scene.store.behave(Behaviour::Hang);
        scene.service.trigger();
        scene.store.wait_for_calls(1, PATIENCE);
        scene.service.signal(Signal::TERM);
    }
    for scene in &scenes {
        let trace = last_trace(scene, 3);
        let call = trace.span(LIST_IMAGES);
        assert_eq!(tag(call, "rpc.response.status_code"), "CANCELLED");
        assert!(call.is_error() && trace.root().is_error());
    }
}

#[test]
fn the_trace_of_a_query_that_ends_within_the_grace_period_arrives() {
    for scene in Scene::each() {
        scene.store.behave_for(Method::ListImages, Behaviour::Hang);
        scene.service.trigger();
        scene.store.wait_for_calls(1, PATIENCE);
        scene.service.signal(Signal::TERM);
        let stopping = |sent: &lab::service::Notification| sent.says("STOPPING", "1");
        scene.service.wait_for_notification(stopping, PATIENCE);
        scene.store.release();
        let trace = last_trace(&scene, SPANS);
        assert!(!trace.root().is_error(), "{}", trace.render());
    }
}

#[test]
fn the_trace_of_a_query_that_has_just_ended_arrives_before_the_exit() {
    for scene in Scene::each() {
        scene.service.query();
        scene.service.signal(Signal::TERM);
        last_trace(&scene, SPANS);
    }
}

#[test]
fn a_name_server_that_never_answers_does_not_delay_the_exit() {
    let Some(name_server) = silent_name_server() else {
        return;
    };
    let address = name_server.local_addr().expect("the socket is bound").ip();
    let settings = format!("nameserver {address}\noptions timeout:30 attempts:5\n");
    let store = store();
    let service = Service::builder("unshare")
        .arg("--mount")
        .arg("sh")
        .arg("-c")
        .arg(EXEC_WITH_RESOLVER)
        .arg("sh")
        .arg(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
        .env("RESOLVER_SETTINGS", settings)
        .env("OTEL_EXPORTER_JAEGER_AGENT_HOST", "agent.example.org")
        .store(store.url())
        .start();
    service.query();
    assert!(service.stop().success());
}

/// Executes a program that sees `$RESOLVER_SETTINGS` as /etc/resolv.conf.
const EXEC_WITH_RESOLVER: &str = "file=$(mktemp) && printf %s \"$RESOLVER_SETTINGS\" > $file &&
    mount --bind $file /etc/resolv.conf && rm $file && exec \"$@\"";

/// A name server that never answers. `None` if this is not possible: the skipped test is reported, which fails the run in CI.
fn silent_name_server() -> Option<UdpSocket> {
    let [.., high, low] = std::process::id().to_be_bytes();
    let bound = UdpSocket::bind((Ipv4Addr::new(127, 99, high, low), 53));
    let mounts = Command::new("unshare").args(["--mount", "true"]).output();
    if let Ok(name_server) = bound
        && mounts.is_ok_and(|output| output.status.success())
    {
        return Some(name_server);
    }
    skip::loudly("only root can bind port 53 and create a mount namespace");
    None
}
