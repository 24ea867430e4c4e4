//! The socket of `NOTIFY_SOCKET` is full: a manager that reads nothing.

use lab::poll::eventually;
use lab::rkt_api_service::StandIn;
use lab::service::{Builder, PATIENCE, Service};

use super::full::FullSocket;
use super::{EX_CONFIG, PROGRAM, ends, failing, refused, store, works};

fn program(manager: &FullSocket) -> Builder {
    Service::builder(PROGRAM)
        .unsupervised()
        .env("NOTIFY_SOCKET", manager.path())
}

/// Triggers, and waits until `queries` have been answered and what follows from them is on its way to the manager: that comes after
/// the connection is closed, and before another scrape is answered.
fn query(service: &Service, store: &StandIn, queries: u32) {
    service.trigger();
    eventually("the query", || {
        let answered = service.scrape().sum("imagestore_queries_total");
        (answered == Some(f64::from(queries))).then_some(())
    });
    store.wait_for_open_connections(0, PATIENCE);
    service.scrape();
}

#[test]
fn a_service_starts_serves_and_stops_though_nobody_reads_its_notifications() {
    let (manager, store) = (FullSocket::bind(), store());
    works(&program(&manager).store(store.url()).spawn());
}

#[test]
fn a_service_goes_on_and_stops_when_its_notifications_are_no_longer_read() {
    let (manager, store) = (FullSocket::with_room(), store());
    let service = program(&manager).store(store.url()).spawn();
    while manager.read() != "READY=1\n" {}
    manager.fill();
    works(&service);
}

#[test]
fn a_refused_configuration_exits_with_78_though_nobody_reads_its_notifications() {
    ends(&refused(program(&FullSocket::bind())), EX_CONFIG);
}

#[test]
fn a_service_that_cannot_listen_exits_with_1_though_nobody_reads_its_notifications() {
    let manager = FullSocket::bind();
    let (service, _other) = failing(program(&manager));
    ends(&service, 1);
}

#[test]
fn once_notifications_are_read_again_the_start_comes_first_and_then_what_is_still_true() {
    let (manager, store) = (FullSocket::bind(), store());
    let service = program(&manager).store(store.url()).spawn();
    service.wait_for_stderr(|log| log.contains("serving metrics"), PATIENCE);
    for queries in 1..=3 {
        query(&service, &store, queries);
    }
    assert_eq!(manager.read(), stored(1));
    assert_eq!(manager.read(), "READY=1\n");
    let status = manager.read();
    assert!(status.starts_with("STATUS=rkt: 7 images"), "{status}");
    // Of the three records since only the latest one, in the place of the one that is there.
    assert_eq!(manager.read(), stored(4));
    assert_eq!(manager.read(), removed(1));
    query(&service, &store, 4);
    assert!(manager.read().starts_with("STATUS=rkt: 7 images"));
    assert_eq!(manager.read(), stored(5));
    assert_eq!(manager.read(), removed(4));
    service.signal(lab::service::Signal::TERM);
    assert_eq!(manager.read(), "STOPPING=1\nSTATUS=stopping\n");
    assert_eq!(manager.read(), stored(6));
    assert_eq!(manager.read(), removed(5));
    assert_eq!(service.wait(PATIENCE).code(), Some(0));
}

fn stored(number: u32) -> String {
    format!("FDSTORE=1\nFDNAME=state-{number}\nFDPOLL=0\n")
}

fn removed(number: u32) -> String {
    format!("FDSTOREREMOVE=1\nFDNAME=state-{number}\n")
}
