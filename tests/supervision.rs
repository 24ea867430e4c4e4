//! What the service tells systemd, received on a notification socket: see sd_notify(3) and sd_watchdog_enabled(3).

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use lab::poll::eventually;
use lab::rkt_api_service::{Behaviour, Images, StandIn};
use lab::service::{Builder, Notification, PATIENCE, Service, Signal, http};
use lab::{TempDir, tempdir};
use tonic::Status;

/// `WATCHDOG_USEC`; the service is to be heard twice as often.
const WATCHDOG: Duration = Duration::from_millis(100);

fn service(stand_in: &StandIn) -> Builder {
    Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
        .store(stand_in.url())
        .env("OTEL_TRACES_EXPORTER", "none")
}

fn temporary_folder() -> TempDir {
    tempdir().expect("a temporary folder can be made")
}

fn signs_of_life(service: &Service) -> usize {
    let told = service.notifications();
    told.iter().filter(|told| is_sign_of_life(told)).count()
}

fn is_sign_of_life(told: &Notification) -> bool {
    told.says("WATCHDOG", "1")
}

/// Waits for as many signs of life after those that there have been.
#[track_caller]
fn wait_for_signs_of_life(service: &Service, further: usize) {
    let wanted = signs_of_life(service) + further;
    eventually("signs of life", || {
        (signs_of_life(service) >= wanted).then_some(())
    });
}

/// Lets as much time pass as another service needs for some signs of life.
fn let_watchdog_periods_pass(stand_in: &StandIn) {
    let clock = service(stand_in).watchdog(WATCHDOG).start();
    wait_for_signs_of_life(&clock, 6);
}

/// What one notification holds, when it has exactly one assignment.
#[track_caller]
fn only_status(service: &Service) -> String {
    let told = service.wait_for_notification(|told| told.status().is_some(), PATIENCE);
    assert_eq!(told.assignments.len(), 1, "{told:?}");
    told.status().unwrap_or_default().to_owned()
}

/// Fills a notification socket until whoever writes to it next has to wait.
fn fill(path: &Path) {
    loop {
        let sender = UnixDatagram::unbound().expect("a socket can be made");
        sender.set_nonblocking(true).expect("it takes the option");
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
    let length = socket.recv(&mut buffer).expect("something comes in time");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// The signals that the process has handlers for, see proc_pid_status(5).
fn handles(service: &Service, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", service.pid()));
    let caught = status
        .expect("the service runs")
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .expect("the kernel tells the signals in hexadecimal");
    caught & 1 << (signal.as_raw() - 1) != 0
}

#[test]
fn a_service_without_a_socket_is_never_ready_and_says_why() {
    let stand_in = StandIn::tcp(Images::generated(1));
    let other = service(&stand_in).start();
    let taken = other.address();
    let listen = lab::service::Listen::Flag(taken);
    let service = service(&stand_in).listen(listen).spawn();
    assert_eq!(service.wait(PATIENCE).code(), Some(1));
    let told = service.notifications();
    assert!(told.iter().all(|told| !told.says("READY", "1")), "{told:?}");
    let why = format!("cannot listen on {taken}");
    let mut status = told.iter().filter_map(|told| told.status());
    assert!(status.any(|status| status.starts_with(&why)), "{told:?}");
}

#[test]
fn a_notify_socket_that_does_not_exist_costs_nothing() {
    let folder = temporary_folder();
    let stand_in = StandIn::tcp(Images::generated(3));
    let service = service(&stand_in)
        .unsupervised()
        .env("NOTIFY_SOCKET", folder.path().join("nobody"))
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
fn the_handlers_stand_and_the_socket_listens_before_ready_is_said() {
    let folder = temporary_folder();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket can be bound in a fresh folder");
    socket
        .set_read_timeout(Some(PATIENCE))
        .expect("it takes the option");
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

    let mut told = Vec::new();
    while told.len() < 2 {
        let datagram = receive(&socket);
        // The record that the process begins with comes first.
        let is_other = ["X_FILL=1", "FDSTORE=1", "BARRIER=1"]
            .iter()
            .any(|other| datagram.starts_with(other));
        told.extend((!is_other).then_some(datagram));
    }
    assert_eq!(told[0].trim_end(), "READY=1");
    assert!(told[1].starts_with("STATUS=rkt: 3 images"), "{told:?}");
    assert_eq!(scraper.get("/metrics").expect("it is served").status, 200);
}

#[test]
fn a_scrape_is_answered_once_ready_is_said() {
    let stand_in = StandIn::tcp(Images::generated(1));
    service(&stand_in).start().scrape();
}

#[test]
fn a_failed_query_is_told_in_one_line_whatever_the_store_says() {
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
fn an_answered_query_is_told_in_one_line() {
    let stand_in = StandIn::tcp(Images::generated(3));
    let service = service(&stand_in).start();
    service.trigger();
    let status = only_status(&service);
    assert!(status.starts_with("rkt: 3 images"), "{status}");
}

#[test]
fn every_query_is_told() {
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
fn stopping_is_told_before_the_end() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let stand_in = StandIn::tcp(Images::generated(1));
        let service = service(&stand_in).start();
        service.signal(signal);
        service.wait_for_notification(|told| told.says("STOPPING", "1"), PATIENCE);
        assert_eq!(service.wait(PATIENCE).code(), Some(0), "{signal:?}");
    }
}

#[test]
fn stopping_is_told_while_a_query_still_runs() {
    let stand_in = StandIn::tcp(Images::generated(1));
    stand_in.behave(Behaviour::Hang);
    let service = service(&stand_in).start();
    service.trigger();
    stand_in.wait_for_calls(1, PATIENCE);
    service.signal(Signal::TERM);
    service.wait_for_notification(|told| told.says("STOPPING", "1"), PATIENCE);
    assert_eq!(stand_in.open_connections(), 1);
    stand_in.release();
    assert_eq!(service.wait(PATIENCE).code(), Some(0));
}

#[test]
fn a_stopped_process_gives_no_sign_of_life_until_it_goes_on() {
    let stand_in = StandIn::tcp(Images::generated(1));
    let service = service(&stand_in).watchdog(WATCHDOG).start();
    wait_for_signs_of_life(&service, 1);
    service.freeze();
    let before = signs_of_life(&service);
    let_watchdog_periods_pass(&stand_in);
    assert_eq!(signs_of_life(&service), before);
    service.thaw();
    wait_for_signs_of_life(&service, 2);
}

#[test]
fn without_a_watchdog_no_sign_of_life_is_given() {
    let stand_in = StandIn::tcp(Images::generated(1));
    let service = service(&stand_in).start();
    let_watchdog_periods_pass(&stand_in);
    service.query();
    assert_eq!(signs_of_life(&service), 0);
}

#[test]
fn a_watchdog_that_is_meant_for_another_process_is_not_fed() {
    let stand_in = StandIn::tcp(Images::generated(1));
    let service = service(&stand_in)
        .watchdog(WATCHDOG)
        .env("WATCHDOG_PID", "1")
        .start();
    let_watchdog_periods_pass(&stand_in);
    service.query();
    assert_eq!(signs_of_life(&service), 0);
}

#[test]
fn signs_of_life_are_given_while_nothing_happens() {
    let stand_in = StandIn::tcp(Images::generated(1));
    let service = service(&stand_in).watchdog(WATCHDOG).start();
    wait_for_signs_of_life(&service, 4);
}

#[test]
fn signs_of_life_are_given_while_a_store_hangs() {
    let stand_in = StandIn::tcp(Images::generated(1));
    stand_in.behave(Behaviour::Hang);
    let service = service(&stand_in).watchdog(WATCHDOG).start();
    service.trigger();
    stand_in.wait_for_calls(1, PATIENCE);
    wait_for_signs_of_life(&service, 4);
    assert_eq!(stand_in.open_connections(), 1);
}

#[test]
fn signs_of_life_are_given_while_the_service_stops() {
    let stand_in = StandIn::tcp(Images::generated(1));
    stand_in.behave(Behaviour::Hang);
    let service = service(&stand_in).watchdog(WATCHDOG).start();
    service.trigger();
    stand_in.wait_for_calls(1, PATIENCE);
    service.signal(Signal::TERM);
    service.wait_for_notification(|told| told.says("STOPPING", "1"), PATIENCE);
    wait_for_signs_of_life(&service, 3);
}

#[test]
fn a_record_is_not_removed_for_one_that_the_manager_did_not_keep() {
    // This manager closes whatever descriptor comes, as systemd does once FileDescriptorStoreMax= is reached.
    let stand_in = StandIn::tcp(Images::generated(1));
    let service = service(&stand_in).start();
    for _ in 0..3 {
        service.query();
    }
    assert!(service.stop().success());
    let told = service.notifications();
    let stored = told.iter().filter(|told| told.says("FDSTORE", "1"));
    assert!(stored.count() >= 3, "{told:?}");
    assert!(
        !told.iter().any(|told| told.says("FDSTOREREMOVE", "1")),
        "{told:?}"
    );
}
