//! The service reports readiness only after everything that it needs has been set up.

use std::process::Command;

use lab::rkt_api_service::{Images, StandIn};
use lab::service::http::Connection;
use lab::service::{PATIENCE, Service};
use lab::skip;

/// More than the number of descriptors that the program watches before it is ready.
const ENOUGH: u32 = 20;

/// A service whose epoll_ctl(2) fails from the `nth` call on, as if `fs.epoll.max_user_watches` were exhausted.
fn without_watches(nth: u32, store: &StandIn) -> Service {
    Service::builder("strace")
        // The tracer is a grandchild: the process that is started here becomes the service.
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

/// Whether the service reports readiness before it ends.
fn becomes_ready(service: &Service) -> bool {
    while let Some(notification) = service.next_notification(PATIENCE) {
        if notification.says("READY", "1") {
            return true;
        }
    }
    false
}

/// Whether strace(1) can inject faults. If not, the skipped test is reported, which fails the run in CI.
fn system_calls_can_be_made_to_fail() -> bool {
    let traced = Command::new("strace")
        .args(["-qq", "--output=/dev/null", "true"])
        .output();
    if traced.is_ok_and(|output| output.status.success()) {
        return true;
    }
    skip::loudly("strace(1) is not installed or not permitted to trace");
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
        let notifications = service.notifications();
        let status = notifications.iter().rev().find_map(|sent| sent.status());
        refusals.push(status.unwrap_or_default().to_owned());
        None
    });
    let ready = ready.expect("the program watches fewer descriptors");
    // The next watch is that of the first connection. It fails, and the running service logs it.
    Connection::open(ready.endpoint()).expect("the service listens");
    ready.wait_for_stderr(|log| log.contains("no connection accepted"), PATIENCE);
    let last = refusals.last().expect("the first watch fails");
    assert!(last.starts_with("cannot serve metrics at "), "{refusals:?}");
}
