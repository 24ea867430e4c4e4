//! The address of the Jaeger agent, and agents that are missing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use lab::jaeger_agent::JaegerAgent;
use lab::service::{Builder, PATIENCE, Service};
use lab::skip;

use super::{IMAGES, ROOT, exporting_to, program, store, traces, wait_for_traces};

/// A loopback address that nothing uses. The port is outside of the ephemeral range, and the id of this process keeps concurrent
/// test programs apart.
fn unused_address(last: u8) -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(127, 100 + last, high, low), 6831))
}

/// Runs this many queries; every one succeeds.
fn query(service: &Service, times: usize) {
    for _ in 0..times {
        let status = service.query();
        assert!(status.contains(&format!("{IMAGES} images")), "{status}");
    }
}

fn lines<'a>(text: &'a str, message: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.contains(message)).collect()
}

/// Starts the service with a store that answers; returns both.
fn asking(builder: Builder) -> (lab::rkt_api_service::StandIn, Service) {
    let store = store();
    let service = builder.store(store.url()).start();
    (store, service)
}

#[test]
fn without_an_agent_every_trace_is_counted_as_failed_and_every_query_succeeds() {
    let (_store, service) = asking(exporting_to(unused_address(1)));
    query(&service, 5);
    wait_for_traces(&service, "failed", 5);
    assert_eq!(traces(&service, "exported"), 0.0);
    assert_eq!(traces(&service, "dropped"), 0.0);
}

#[test]
fn of_consecutive_lost_traces_the_first_is_a_warning_and_the_others_are_debug_lines() {
    for (level, debug) in [("info", 0), ("debug", 4)] {
        let builder = exporting_to(unused_address(2));
        let (_store, service) = asking(builder.arg("--log-level").arg(level));
        query(&service, 5);
        wait_for_traces(&service, "failed", 5);
        assert!(service.stop().success());
        let stderr = service.stderr();
        let reported = lines(&stderr, "trace not exported");
        assert_eq!(reported.len(), 1 + debug, "{stderr}");
        assert!(reported[0].contains(" WARN "), "{stderr}");
        assert!(reported[0].contains("Connection refused"), "{stderr}");
        let others = &reported[1..];
        assert!(
            others.iter().all(|line| line.contains(" DEBUG ")),
            "{stderr}"
        );
    }
}

#[test]
fn the_agent_can_be_given_by_name() {
    let agent = JaegerAgent::bind();
    let builder = program()
        .env("OTEL_EXPORTER_JAEGER_AGENT_HOST", "localhost")
        .env("OTEL_EXPORTER_JAEGER_AGENT_PORT", agent.port().to_string());
    let (_store, service) = asking(builder);
    query(&service, 1);
    assert_eq!(agent.next_trace(PATIENCE).root().operation, ROOT);
}

#[test]
fn by_default_the_agent_is_on_this_host() {
    let agent = JaegerAgent::bind();
    assert_eq!(agent.address().ip(), IpAddr::from(Ipv4Addr::LOCALHOST));
    let builder = program().env("OTEL_EXPORTER_JAEGER_AGENT_PORT", agent.port().to_string());
    let (_store, service) = asking(builder);
    query(&service, 1);
    agent.next_trace(PATIENCE);
}

#[test]
fn the_agent_can_be_given_by_an_ipv6_address() {
    let loopback = "[::1]:0".parse().expect("an address");
    let Some(agent) = skip::without(JaegerAgent::bind_at(loopback)) else {
        return;
    };
    let builder = program()
        .env("OTEL_EXPORTER_JAEGER_AGENT_HOST", "[::1]")
        .env("OTEL_EXPORTER_JAEGER_AGENT_PORT", agent.port().to_string());
    let (_store, service) = asking(builder);
    query(&service, 1);
    agent.next_trace(PATIENCE);
}

#[test]
fn an_unknown_name_of_the_agent_loses_the_traces_and_nothing_else() {
    // RFC 2606 reserves this name, so that it never exists.
    let builder = program().env("OTEL_EXPORTER_JAEGER_AGENT_HOST", "agent.invalid");
    let (_store, service) = asking(builder);
    query(&service, 2);
    wait_for_traces(&service, "failed", 2);
    assert!(service.stop().success());
    let stderr = service.stderr();
    let warnings = lines(&stderr, " WARN ");
    assert_eq!(warnings.len(), 1, "{stderr}");
    assert!(warnings[0].contains("agent.invalid:6831"), "{stderr}");
}
