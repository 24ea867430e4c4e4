//! A stop does not cut off a request that is being answered.

use std::io;

use lab::exposition::Scrape;
use lab::poll::eventually;
use lab::service::http::{Connection, Response};

use crate::host::{Host, METRICS, SERVICE};

/// Stops the service in the middle of a request: sends half of it before, and the rest once the stop has begun.
fn scrape_across_a_stop(host: &Host, begun: impl Fn() -> bool) -> io::Result<Response> {
    host.systemctl("start exp-rkt-grpc");
    let mut scrape = host.machine.network(|| Connection::open(METRICS))?;
    scrape.send(b"GET /metrics HTTP/1.1\r\n")?;
    // This scrape is answered only after the previous connection has been accepted.
    host.scrape();
    host.systemctl("stop --no-block exp-rkt-grpc");
    eventually("the stop", || begun().then_some(()));
    scrape.send(b"Host: localhost\r\n\r\n")?;
    scrape.receive()
}

fn wait_until_stopped(host: &Host) {
    eventually("the end of the service", || {
        (host.property("ActiveState") == "inactive").then_some(())
    });
}

#[test]
fn a_scrape_that_has_begun_is_answered_while_systemd_stops_the_service() {
    let Some(host) = Host::boot("drain") else {
        return;
    };
    let stopping = || host.property("StatusText") == "stopping";
    let answer = scrape_across_a_stop(&host, stopping)
        .unwrap_or_else(|error| panic!("{error}\n{}", host.log()));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection"), Some("close"));
    Scrape::parse(answer.text()).expect("the answer is complete");
    wait_until_stopped(&host);
    assert_eq!(host.property("Result"), "success");
}

/// The counterpart, which shows that the test above can fail.
#[test]
fn a_scrape_that_has_begun_is_lost_when_systemd_kills_the_service() {
    let Some(host) = Host::boot("no-drain") else {
        return;
    };
    host.edit(SERVICE, "[Service]\nKillSignal=SIGKILL\n");
    // systemd has sent the signal by then.
    let begun = || host.property("ActiveState") != "active";
    scrape_across_a_stop(&host, begun).expect_err("a killed service does not answer");
}
