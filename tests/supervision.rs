//! The notifications that the service sends to systemd: see sd_notify(3) and sd_watchdog_enabled(3).

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use lab::poll::eventually;
use lab::rkt_api_service::{Behaviour, Images, StandIn};
use lab::service::{Builder, Notification, PATIENCE, Service, Signal, http};
use lab::{TempDir, tempdir};
use tonic::Status;

/// `WATCHDOG_USEC`; the service has to send keep-alives twice as often.
const WATCHDOG: Duration = Duration::from_millis(100);

fn service(stand_in: &StandIn) -> Builder {
    Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
        .store(stand_in.url())
        .env("OTEL_TRACES_EXPORTER", "none")
}

fn temporary_folder() -> TempDir {
    tempdir().expect("a temporary folder can be made")
}

fn keep_alives(service: &Service) -> usize {
    let notifications = service.notifications();
    notifications
        .iter()
        .filter(|sent| is_keep_alive(sent))
        .count()
}

fn is_keep_alive(notification: &Notification) -> bool {
    notification.says("WATCHDOG", "1")
}

/// Waits for this many further keep-alives.
#[track_caller]
fn wait_for_keep_alives(service: &Service, further: usize) {
    let wanted = keep_alives(service) + further;
    eventually("keep-alives", || {
        (keep_alives(service) >= wanted).then_some(())
    });
}

/// Waits as long as another service takes to send some keep-alives.
fn let_watchdog_periods_pass(stand_in: &StandIn) {
    let clock = service(stand_in).watchdog(WATCHDOG).start();
    wait_for_keep_alives(&clock, 6);
}

/// The status of the next notification that has one; panics if it has other assignments.
#[track_caller]
fn only_status(service: &Service) -> String {
    let notification = service.wait_for_notification(|sent| sent.status().is_some(), PATIENCE);
    assert_eq!(notification.assignments.len(), 1, "{notification:?}");
    notification.status().unwrap_or_default().to_owned()
}

/// Fills a notification socket until the next sender would have to wait.
fn fill(path: &Path) {
    loop {
        let sender = UnixDatagram::unbound().expect("a socket can be made");
        sender
            .set_nonblocking(true)
            .expect("the socket has this option");
        let mut sent = 0;
        while sender.send_to(b"X_FILL=1", path).is_ok() {
            sent += 1;
        }
        if sent == 0 {
            return;
        }
    }
}

fn receive(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let length = socket
        .recv(&mut buffer)
        .expect("a datagram arrives in time");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// Whether the process has a handler for the signal, see proc_pid_status(5).
fn handles(service: &Service, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", service.pid()));
    let caught = status
        .expect("the service runs")
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .expect("the kernel shows the signals in hexadecimal");
    caught & 1 << (signal.as_raw() - 1) != 0
}

#[test]
fn a_service_that_cannot_listen_never_reports_readiness_and_its_status_shows_why() {
    let stand_in = StandIn::tcp(Images::generated(1));
    let other = service(&stand_in).start();
    let used = other.address();
    let listen = lab::service::Listen::Flag(used);
    let service = service(&stand_in).listen(listen).spawn();
    assert_eq!(service.wait(PATIENCE).code(), Some(1));
    let notifications = service.notifications();
    let ready = notifications.iter().any(|sent| sent.says("READY", "1"));
    assert!(!ready, "{notifications:?}");
    let why = format!("cannot listen on {used}");
    let mut status = notifications.iter().filter_map(|sent| sent.status());
    assert!(
        status.any(|status| status.starts_with(&why)),
        "{notifications:?}"
    );
}

#[test]
fn a_notify_socket_that_does_not_exist_is_ignored() {
    let folder = temporary_folder();
    let stand_in = StandIn::tcp(Images::generated(3));
    let service = service(&stand_in)
        .unsupervised()
        .env("NOTIFY_SOCKET", folder.path().join("missing"))
        .watchdog(WATCHDOG)
        .spawn();
    service.wait_for_stderr(|text| text.contains("serving metrics"), PATIENCE);
    service.trigger();
    eventually("the images", || {
        service
            .scrape()
            .value("imagestore_images", &[("store", "rkt")])
    });
    assert_eq!(service.stop().code(), Some(0));
    assert!(
        !service.stderr().contains("notified"),
        "{}",
        service.stderr()
    );
}

#[test]
fn the_signal_handlers_are_installed_and_the_socket_listens_before_readiness_is_reported() {
    let folder = temporary_folder();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("the path is free");
    socket
        .set_read_timeout(Some(PATIENCE))
        .expect("the socket has this option");
    fill(&path);
    let stand_in = StandIn::tcp(Images::generated(3));
    let service = service(&stand_in)
        .unsupervised()
        .env("NOTIFY_SOCKET", &path)
        .spawn();
    service.wait_for_stderr(|text| text.contains("serving metrics"), PATIENCE);
    for signal in [Signal::QUIT, Signal::TERM, Signal::INT, Signal::HUP] {
        assert!(handles(&service, signal), "{signal:?}");
    }
    let mut scraper = http::Connection::open(service.endpoint()).expect("the socket listens");
    service.trigger();

    let mut received = Vec::new();
    while received.len() < 2 {
        let datagram = receive(&socket);
        // The process stores its first record before it reports readiness.
        let is_other = ["X_FILL=1", "FDSTORE=1", "BARRIER=1"]
            .iter()
            .any(|other| datagram.starts_with(other));
        received.extend((!is_other).then_some(datagram));
    }
    assert_eq!(received[0].trim_end(), "READY=1");
    assert!(
        received[1].starts_with("STATUS=rkt: 3 images"),
        "{received:?}"
    );
    assert_eq!(
        scraper
            .get("/metrics")
            .expect("the request is answered")
            .status,
        200
    );
}

#[test]
fn the_status_of_a_failed_query_is_one_line_whatever_text_the_store_sends() {
    let stand_in = StandIn::tcp(Images::generated(1));
    stand_in.behave(Behaviour::Fail(Status::unavailable(
        "down\nREADY=1\r\nSTOPPING=1",
    )));
    let service = service(&stand_in).start();
    service.trigger();
    let status = only_status(&service);
    assert!(
        status.starts_with("rkt: query failed: UNAVAILABLE"),
        "{status}"
    );
}

#[test]
fn the_status_of_an_answered_query_is_one_line() {
    let stand_in = StandIn::tcp(Images::generated(3));
    let service = service(&stand_in).start();
    service.trigger();
    let status = only_status(&service);
    assert!(status.starts_with("rkt: 3 images"), "{status}");
}

#[test]
fn every_query_updates_the_status() {
    let stand_in = StandIn::tcp(Images::generated(3));
    let service = service(&stand_in).start();
    assert!(service.query().contains("3 images"));
    stand_in.behave(Behaviour::Refuse);
    assert!(service.query().contains("query failed"));
    stand_in.behave(Behaviour::Answer);
    stand_in.serve_images(Images::generated(4));
    assert!(service.query().contains("4 images"));
}

#[test]
fn stopping_is_reported_while_a_query_still_runs() {
    let stand_in = StandIn::tcp(Images::generated(1));
    stand_in.behave(Behaviour::Hang);
    let service = service(&stand_in).start();
    service.trigger();
    stand_in.wait_for_calls(1, PATIENCE);
    service.signal(Signal::TERM);
    service.wait_for_notification(|sent| sent.says("STOPPING", "1"), PATIENCE);
    assert_eq!(stand_in.open_connections(), 1);
    stand_in.release();
    assert_eq!(service.wait(PATIENCE).code(), Some(0));
}

#[test]
fn a_stopped_process_sends_no_keep_alives_until_it_continues() {
    let stand_in = StandIn::tcp(Images::generated(1));
    let service = service(&stand_in).watchdog(WATCHDOG).start();
    wait_for_keep_alives(&service, 1);
    service.freeze();
    let before = keep_alives(&service);
    let_watchdog_periods_pass(&stand_in);
    assert_eq!(keep_alives(&service), before);
    service.thaw();
    wait_for_keep_alives(&service, 2);
}

#[test]
fn without_a_watchdog_no_keep_alives_are_sent() {
    let stand_in = StandIn::tcp(Images::generated(1));
    let service = service(&stand_in).start();
    let_watchdog_periods_pass(&stand_in);
    service.query();
    assert_eq!(keep_alives(&service), 0);
}

#[test]
fn a_watchdog_meant_for_another_process_gets_no_keep_alives() {
    let stand_in = StandIn::tcp(Images::generated(1));
    let service = service(&stand_in)
        .watchdog(WATCHDOG)
        .env("WATCHDOG_PID", "1")
        .start();
    let_watchdog_periods_pass(&stand_in);
    service.query();
    assert_eq!(keep_alives(&service), 0);
}

#[test]
fn keep_alives_are_sent_while_the_service_is_idle() {
    let stand_in = StandIn::tcp(Images::generated(1));
    let service = service(&stand_in).watchdog(WATCHDOG).start();
    wait_for_keep_alives(&service, 4);
}

#[test]
fn keep_alives_are_sent_while_a_store_hangs() {
    let stand_in = StandIn::tcp(Images::generated(1));
    stand_in.behave(Behaviour::Hang);
    let service = service(&stand_in).watchdog(WATCHDOG).start();
    service.trigger();
    stand_in.wait_for_calls(1, PATIENCE);
    wait_for_keep_alives(&service, 4);
    assert_eq!(stand_in.open_connections(), 1);
}

#[test]
fn keep_alives_are_sent_while_the_service_stops() {
    let stand_in = StandIn::tcp(Images::generated(1));
    stand_in.behave(Behaviour::Hang);
    let service = service(&stand_in).watchdog(WATCHDOG).start();
    service.trigger();
    stand_in.wait_for_calls(1, PATIENCE);
    service.signal(Signal::TERM);
    service.wait_for_notification(|sent| sent.says("STOPPING", "1"), PATIENCE);
    wait_for_keep_alives(&service, 3);
}

#[test]
fn a_record_is_not_removed_if_systemd_did_not_keep_its_successor() {
    // The test's notification socket closes every descriptor, as systemd does once FileDescriptorStoreMax= is reached.
    let stand_in = StandIn::tcp(Images::generated(1));
    let service = service(&stand_in).start();
    for _ in 0..3 {
        service.query();
    }
    assert!(service.stop().success());
    let notifications = service.notifications();
    let stored = notifications
        .iter()
        .filter(|sent| sent.says("FDSTORE", "1"));
    assert!(stored.count() >= 3, "{notifications:?}");
    assert!(
        !notifications
            .iter()
            .any(|sent| sent.says("FDSTOREREMOVE", "1")),
        "{notifications:?}"
    );
}
