//! What must work is made before the service says that it is ready.

use std::process::Command;

use lab::rkt_api_service::{Images, StandIn};
use lab::service::http::Connection;
use lab::service::{PATIENCE, Service};
use lab::skip;

/// More descriptors than the program watches before it is ready.
const ENOUGH: u32 = 20;

/// A service whose kernel watches no further descriptors from its `nth` epoll_ctl(2) on, as where `fs.epoll.max_user_watches` is
/// used up.
fn without_watches(nth: u32, store: &StandIn) -> Service {
    Service::builder("strace")
        // The tracer is a grandchild of its own: what was started becomes the service.
        .arg("-D")
        .arg("-f")
        .arg("-qq")
        .arg("--output=/dev/null")
        .arg("--trace=epoll_ctl")
        .arg(format!("--inject=epoll_ctl:error=ENOSPC:when={nth}+"))
        .arg(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
        .env("OTEL_TRACES_EXPORTER", "none")
        .store(store.url())
        .spawn()
}

/// Whether it says so before it ends.
fn becomes_ready(service: &Service) -> bool {
    while let Some(told) = service.next_notification(PATIENCE) {
        if told.says("READY", "1") {
            return true;
        }
    }
    false
}

/// Where that cannot be had, it is told, and is CI's failure.
fn system_calls_can_be_made_to_fail() -> bool {
    let traced = Command::new("strace")
        .args(["-qq", "--output=/dev/null", "true"])
        .output();
    if traced.is_ok_and(|output| output.status.success()) {
        return true;
    }
    skip::loudly("strace(1) is missing, or may not trace");
    false
}

#[test]
fn a_service_is_ready_only_when_its_socket_is_watched() {
    if !system_calls_can_be_made_to_fail() {
        return;
    }
    let store = StandIn::tcp(Images::generated(1));
    let mut refusals = Vec::new();
    let ready = (1..ENOUGH).find_map(|nth| {
        let service = without_watches(nth, &store);
        if becomes_ready(&service) {
            return Some(service);
        }
        assert_eq!(service.wait(PATIENCE).code(), Some(1));
        let told = service.notifications();
        let status = told.iter().rev().find_map(|told| told.status());
        refusals.push(status.unwrap_or_default().to_owned());
        None
    });
    let ready = ready.expect("the program watches fewer descriptors");
    // The next watch would be that of the first connection: it fails, and somebody is there to say so.
    Connection::open(ready.endpoint()).expect("somebody listens");
    ready.wait_for_stderr(|log| log.contains("no connection accepted"), PATIENCE);
    let last = refusals.last().expect("there are sockets to watch");
    assert!(last.starts_with("cannot serve metrics at "), "{refusals:?}");
}
