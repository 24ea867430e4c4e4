//! What the service costs while nobody asks anything of it.

use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use lab::rkt_api_service::{Images, StandIn};
use lab::service::{Builder, PATIENCE, Service};

/// How long it is watched doing nothing.
const WINDOW: Duration = Duration::from_secs(3);

/// Traces go to `agent` by UDP, as they do by default.
fn service(stand_in: &StandIn, agent: &UdpSocket) -> Builder {
    let port = agent.local_addr().expect("it is bound").port();
    Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
        .store(stand_in.url())
        .env("OTEL_EXPORTER_JAEGER_AGENT_PORT", port.to_string())
}

fn jaeger_agent() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").expect("a loopback port is free")
}

/// A query was answered, its connection is closed, and a scrape was answered.
fn work(service: &Service, stand_in: &StandIn) {
    let status = service.query();
    assert!(status.contains("3 images"), "{status}");
    stand_in.wait_for_open_connections(0, PATIENCE);
    service.scrape();
}

/// The fewest times that the service was woken in any of three windows: what happens to it once is not periodic.
fn fewest_wakeups(service: &Service) -> u64 {
    let wakeups = || {
        let before = service.voluntary_ctxt_switches();
        thread::sleep(WINDOW);
        service.voluntary_ctxt_switches() - before
    };
    let mut fewest = u64::MAX;
    for _ in 0..3 {
        fewest = fewest.min(wakeups());
        if fewest == 0 {
            break;
        }
    }
    fewest
}

#[test]
fn queries_and_scrapes_leave_no_descriptor_behind() {
    let (stand_in, agent) = (StandIn::tcp(Images::generated(3)), jaeger_agent());
    let service = service(&stand_in, &agent).start();
    work(&service, &stand_in);
    let before = service.fds();
    for _ in 0..200 {
        work(&service, &stand_in);
    }
    lab::poll::eventually("the descriptors of before", || {
        (service.fds() <= before).then_some(())
    });
}

#[test]
fn the_service_has_one_thread_also_after_work() {
    let (stand_in, agent) = (StandIn::tcp(Images::generated(3)), jaeger_agent());
    let service = service(&stand_in, &agent).start();
    work(&service, &stand_in);
    assert_eq!(service.threads(), 1);
}

#[test]
fn a_service_that_has_nothing_to_do_sleeps() {
    let (stand_in, agent) = (StandIn::tcp(Images::generated(3)), jaeger_agent());
    let service = service(&stand_in, &agent).start();
    work(&service, &stand_in);
    assert_eq!(fewest_wakeups(&service), 0);
}

#[test]
fn a_watchdog_is_seen_as_periodic_wakeups() {
    let (stand_in, agent) = (StandIn::tcp(Images::generated(3)), jaeger_agent());
    let service = service(&stand_in, &agent)
        .watchdog(Duration::from_secs(1))
        .start();
    let before = service.voluntary_ctxt_switches();
    lab::poll::eventually("a wake-up", || {
        (service.voluntary_ctxt_switches() > before).then_some(())
    });
}
