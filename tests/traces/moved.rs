//! Agents, collectors and stores given by name may move: the name is looked up again without a restart.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use lab::jaeger_agent::JaegerAgent;
use lab::otlp_collector::OtlpCollector;
use lab::service::{Builder, PATIENCE, Service};
use lab::{TempDir, skip, tempdir};

use super::{ROOT, store, traces, wait_for_traces};

const NAME: &str = "moving.test";

/// Executes a program that sees `$HOSTS` as /etc/hosts.
const EXEC_WITH_HOSTS: &str = "mount --bind \"$HOSTS\" /etc/hosts && exec \"$@\"";

/// An /etc/hosts that only one service sees.
struct Hosts(TempDir);

impl Hosts {
    /// `None` if this is not possible: the skipped test is reported, which fails the run in CI.
    fn with(address: Ipv4Addr) -> Option<Self> {
        let mounts = Command::new("unshare").args(["--mount", "true"]).output();
        if !mounts.is_ok_and(|output| output.status.success()) {
            skip::loudly("only root can create a mount namespace");
            return None;
        }
        let hosts = Self(tempdir().expect("a temporary folder can be made"));
        hosts.move_to(address);
        Some(hosts)
    }

    fn move_to(&self, address: Ipv4Addr) {
        let text = format!("127.0.0.1 localhost\n{address} {NAME}\n");
        fs::write(self.0.path().join("hosts"), text).expect("the folder is writable");
    }

    fn program(&self) -> Builder {
        let arguments = ["--mount", "sh", "-c", EXEC_WITH_HOSTS, "sh"];
        arguments
            .iter()
            .fold(Service::builder("unshare"), Builder::arg)
            .arg(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
            .env("HOSTS", self.0.path().join("hosts"))
    }
}

/// A loopback address that nothing uses; see `unused_address` in reachability.rs.
fn elsewhere(last: u8) -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 120 + last, high, low)
}

#[test]
fn an_agent_that_has_moved_receives_the_next_trace() {
    let Some(hosts) = Hosts::with(Ipv4Addr::LOCALHOST) else {
        return;
    };
    let (store, agent) = (store(), JaegerAgent::bind());
    let port = agent.port();
    let service = hosts
        .program()
        .env("OTEL_EXPORTER_JAEGER_AGENT_HOST", NAME)
        .env("OTEL_EXPORTER_JAEGER_AGENT_PORT", port.to_string())
        .store(store.url())
        .start();
    service.query();
    assert_eq!(agent.next_trace(PATIENCE).root().operation, ROOT);

    drop(agent);
    let address = elsewhere(1);
    let agent = JaegerAgent::bind_at(SocketAddr::from((address, port)));
    let agent = agent.expect("the address is free");
    hosts.move_to(address);
    service.query();
    assert_eq!(agent.next_trace(PATIENCE).root().operation, ROOT);
    wait_for_traces(&service, "exported", 2);
    assert_eq!(traces(&service, "failed"), 0.0);
}

#[test]
fn the_name_of_a_collector_is_looked_up_for_each_trace() {
    let Some(hosts) = Hosts::with(Ipv4Addr::LOCALHOST) else {
        return;
    };
    let (store, collector) = (store(), OtlpCollector::bind());
    let endpoint = format!("http://{NAME}:{}", collector.address().port());
    let service = hosts
        .program()
        .env("OTEL_TRACES_EXPORTER", "otlp")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .store(store.url())
        .start();
    service.query();
    wait_for_traces(&service, "exported", 1);
    hosts.move_to(elsewhere(2));
    service.query();
    wait_for_traces(&service, "failed", 1);
    hosts.move_to(Ipv4Addr::LOCALHOST);
    service.query();
    wait_for_traces(&service, "exported", 2);
}

#[test]
fn the_name_of_a_store_is_looked_up_for_each_query() {
    let Some(hosts) = Hosts::with(Ipv4Addr::LOCALHOST) else {
        return;
    };
    let store = store();
    let url = format!("rkt+http://{NAME}:{}", store.address().port());
    let service = hosts
        .program()
        .env("OTEL_TRACES_EXPORTER", "none")
        .store(url)
        .start();
    assert!(service.query().contains("images"));
    hosts.move_to(elsewhere(3));
    assert!(service.query().contains("query failed"));
    hosts.move_to(Ipv4Addr::LOCALHOST);
    assert!(service.query().contains("images"));
}
