//! What the service costs while nobody asks anything of it.

use std::net::UdpSocket;
use std::time::Duration;

use lab::poll::eventually;
use lab::rkt_api_service::{Images, StandIn};
use lab::service::{Builder, PATIENCE, Service, Sleep};

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

#[test]
fn queries_and_scrapes_leave_no_descriptor_behind() {
    let (stand_in, agent) = (StandIn::tcp(Images::generated(3)), jaeger_agent());
    let service = service(&stand_in, &agent).start();
    work(&service, &stand_in);
    let before = service.fds();
    for _ in 0..200 {
        work(&service, &stand_in);
    }
    eventually("the descriptors of before", || {
        (service.fds() <= before).then_some(())
    });
}

#[test]
fn the_log_has_the_only_thread_beside_that_of_the_loop_also_after_work() {
    let (stand_in, agent) = (StandIn::tcp(Images::generated(3)), jaeger_agent());
    let service = service(&stand_in, &agent).start();
    work(&service, &stand_in);
    assert_eq!(service.threads(), 2);
}

/// A timer, however long, would be seen as the end of its sleep.
#[test]
fn a_service_that_has_nothing_to_do_sleeps_until_something_happens() {
    let (stand_in, agent) = (StandIn::tcp(Images::generated(3)), jaeger_agent());
    let service = service(&stand_in, &agent).start();
    work(&service, &stand_in);
    eventually("a sleep without an end", || {
        (service.sleep() == Some(Sleep::UntilSomethingHappens)).then_some(())
    });
}

#[test]
fn a_watchdog_is_seen_as_the_end_of_the_sleep() {
    const WATCHDOG: Duration = Duration::from_secs(1);
    let (stand_in, agent) = (StandIn::tcp(Images::generated(3)), jaeger_agent());
    let service = service(&stand_in, &agent).watchdog(WATCHDOG).start();
    work(&service, &stand_in);
    eventually("a sleep until half of the watchdog's time is over", || {
        let Some(Sleep::Until(end)) = service.sleep() else {
            return None;
        };
        (end <= WATCHDOG / 2).then_some(())
    });
}
