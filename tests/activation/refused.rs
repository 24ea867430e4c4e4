//! A refused configuration while systemd holds the socket: see `src/refusal.rs`.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use lab::service::{NotifySocket, Signal};

use super::*;

/// How long a refused service stays, and that plus the time it may take to end.
const PAUSE: Duration = Duration::from_secs(40);
const MORE_TIME: Duration = Duration::from_secs(50);

/// A service whose configuration is refused, a connection that waits for it, and the status that it has sent.
#[track_caller]
fn refused(builder: Builder) -> (Service, http::Connection, String) {
    let service = builder.spawn();
    let waiting = http::Connection::open(service.endpoint()).expect("the socket listens");
    let status = service.wait_for_status(PATIENCE);
    (service, waiting, status)
}

/// The service has not ended, and asks systemd for more time.
#[track_caller]
fn assert_stays(service: &Service) {
    let more = MORE_TIME.as_micros().to_string();
    service.wait_for_notification(
        |notification| notification.says("EXTEND_TIMEOUT_USEC", &more),
        PATIENCE,
    );
}

/// The signal ends the service before the pause does, which began after `before`.
#[track_caller]
fn assert_ends(service: &Service, signal: Signal, before: Instant) {
    service.signal(signal);
    assert_eq!(service.wait(PATIENCE).code(), Some(EX_CONFIG));
    assert!(before.elapsed() < PAUSE);
}

fn never(builder: Builder) -> Builder {
    builder.arg("--deadline").arg("never")
}

#[test]
fn with_a_waiting_connection_a_service_with_a_refused_setting_stays_until_it_is_stopped() {
    let before = Instant::now();
    let (service, _waiting, status) = refused(never(service().activation(Activation::tcp())));
    assert!(
        status.starts_with("configuration refused: invalid value \"never\" for --deadline"),
        "{status}"
    );
    assert_stays(&service);
    assert_contains(&service.stderr(), &["EXP_RKT_GRPC_DEADLINE"]);
    // SIGQUIT does not kill it, although that is the default action.
    service.signal(Signal::QUIT);
    assert_ends(&service, Signal::TERM, before);
    let refusals = service.stderr().matches("invalid value").count();
    assert_eq!(refusals, 1, "{}", service.stderr());
}

#[test]
fn a_service_that_refuses_the_passed_sockets_stays_while_a_connection_waits_on_one_of_them() {
    let before = Instant::now();
    let several = Activation::tcp().named("admin").preceded_by("debug");
    let (service, _waiting, status) = refused(service().activation(several));
    assert!(status.contains("FileDescriptorName=metrics"), "{status}");
    assert_stays(&service);
    assert_ends(&service, Signal::INT, before);
}

#[test]
fn without_systemd_a_refused_setting_ends_the_program_at_once() {
    let service = never(service().activation(Activation::tcp()))
        .unsupervised()
        .spawn();
    let _waiting = http::Connection::open(service.endpoint()).expect("the socket listens");
    assert_eq!(service.wait(PATIENCE).code(), Some(EX_CONFIG));
}

#[test]
fn without_a_connection_a_refused_setting_ends_the_program_at_once() {
    let (manager, socket) = (NotifySocket::bind(), TcpListener::bind("127.0.0.1:0"));
    let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\"";
    let refused = Command::new("/bin/sh")
        .args(["-c", script, PROGRAM])
        .env("NOTIFY_SOCKET", manager.path())
        .env("EXP_RKT_GRPC_DEADLINE", "never")
        .stdin(OwnedFd::from(socket.expect("a loopback port is free")))
        .output()
        .expect("sh can be run");
    assert_refused(&refused, &["EXP_RKT_GRPC_DEADLINE"]);
    let notifications = manager.seen();
    let mut statuses = notifications.iter().map(|sent| sent.status());
    assert!(statuses.any(|status| status.is_some()), "{notifications:?}");
    let stayed = notifications
        .iter()
        .any(|sent| sent.value("EXTEND_TIMEOUT_USEC").is_some());
    assert!(!stayed, "{notifications:?}");
}
