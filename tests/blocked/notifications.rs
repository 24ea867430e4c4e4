//! `NOTIFY_SOCKET` is full: a service manager that reads nothing.

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

/// Triggers a query, then waits until `queries` have been answered and their notifications are queued. The service queues them
/// after it has closed the connection to the store, and before it answers another scrape.
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
fn unread_notifications_do_not_keep_the_service_from_starting_serving_and_stopping() {
    let (manager, store) = (FullSocket::bind(), store());
    works(&program(&manager).store(store.url()).spawn());
}

#[test]
fn a_running_service_goes_on_and_stops_when_its_notifications_are_no_longer_read() {
    let (manager, store) = (FullSocket::with_room(), store());
    let service = program(&manager).store(store.url()).spawn();
    while manager.read() != "READY=1\n" {}
    manager.fill();
    works(&service);
}

#[test]
fn unread_notifications_do_not_keep_a_refused_configuration_from_exiting_with_78() {
    ends(&refused(program(&FullSocket::bind())), EX_CONFIG);
}

#[test]
fn unread_notifications_do_not_keep_a_service_that_cannot_listen_from_exiting_with_1() {
    let manager = FullSocket::bind();
    let (service, _other) = failing(program(&manager));
    ends(&service, 1);
}

#[test]
fn once_notifications_are_read_again_readiness_comes_first_then_only_the_latest_state() {
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
    // Of the three records since then only the latest is sent. It replaces the one in the store.
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

/// As systemd does in the moment before it closes a descriptor that it does not store, the socket has each of them open.
#[test]
fn no_record_is_removed_if_systemd_says_that_its_store_has_room_for_one() {
    let (manager, store) = (FullSocket::with_room(), store());
    let service = program(&manager)
        .env("FDSTORE", "1")
        .store(store.url())
        .spawn();
    while manager.read() != "READY=1\n" {}
    query(&service, &store, 1);
    service.signal(lab::service::Signal::TERM);
    // The first record is stored; what becomes of each later one is decided before the next is sent.
    let mut records = 0;
    while records < 2 {
        let next = manager.read();
        assert!(!next.contains("FDSTOREREMOVE=1"), "{next}");
        records += usize::from(next.contains("FDSTORE=1"));
    }
    assert_eq!(service.wait(PATIENCE).code(), Some(0));
}

fn stored(number: u32) -> String {
    format!("FDSTORE=1\nFDNAME=state-{number}\nFDPOLL=0\n")
}

fn removed(number: u32) -> String {
    format!("FDSTOREREMOVE=1\nFDNAME=state-{number}\n")
}
