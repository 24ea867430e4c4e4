//! The resources that the idle service uses.

use std::net::UdpSocket;
use std::time::Duration;

use lab::poll::eventually;
use lab::rkt_api_service::{Images, StandIn};
use lab::service::{Builder, PATIENCE, Service, Sleep};

/// Traces go to `agent` by UDP, as they do by default.
fn service(stand_in: &StandIn, agent: &UdpSocket) -> Builder {
    let port = agent.local_addr().expect("the socket is bound").port();
    Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
        .store(stand_in.url())
        .env("OTEL_EXPORTER_JAEGER_AGENT_PORT", port.to_string())
}

fn jaeger_agent() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").expect("a loopback port is free")
}

/// Runs a query, waits until its connection is closed, and scrapes.
fn work(service: &Service, stand_in: &StandIn) {
    let status = service.query();
    assert!(status.contains("3 images"), "{status}");
    stand_in.wait_for_open_connections(0, PATIENCE);
    service.scrape();
}

#[test]
fn queries_and_scrapes_leave_no_descriptor_behind() {
    let (stand_in, agent) = (StandIn::tcp(Images::generated(3)), jaeger_agent());
    let service = service(&stand_in, &agent).start();
    work(&service, &stand_in);
    service.wait_until_idle();
    let before = service.fds();
    for _ in 0..200 {
        work(&service, &stand_in);
    }
    eventually("no more descriptors than before", || {
        (service.fds() <= before).then_some(())
    });
}

#[test]
fn after_work_the_main_thread_and_the_logs_thread_are_the_only_ones() {
    let (stand_in, agent) = (StandIn::tcp(Images::generated(3)), jaeger_agent());
    let service = service(&stand_in, &agent).start();
    work(&service, &stand_in);
    assert_eq!(service.threads(), 2);
}

/// A timer of any length would give the sleep an end.
#[test]
fn an_idle_service_sleeps_without_a_timer() {
    let (stand_in, agent) = (StandIn::tcp(Images::generated(3)), jaeger_agent());
    let service = service(&stand_in, &agent).start();
    work(&service, &stand_in);
    service.wait_until_idle();
}

#[test]
fn with_a_watchdog_an_idle_service_wakes_up_within_half_of_its_interval() {
    const WATCHDOG: Duration = Duration::from_secs(1);
    let (stand_in, agent) = (StandIn::tcp(Images::generated(3)), jaeger_agent());
    let service = service(&stand_in, &agent).watchdog(WATCHDOG).start();
    work(&service, &stand_in);
    eventually(
        "a sleep that ends within half of the watchdog's interval",
        || {
            let Some(Sleep::Until(end)) = service.sleep() else {
                return None;
            };
            (end <= WATCHDOG / 2).then_some(())
        },
    );
}
