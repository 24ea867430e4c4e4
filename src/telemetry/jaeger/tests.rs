use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};

use tokio::time::Instant;

use super::{
    AgentSocket, JaegerExporter, JaegerTraceRuntime, LARGE_DATAGRAM, LOOKUP_VALIDITY, PAUSE,
};

/// Keeps the spans.
#[derive(Clone, Debug, Default)]
struct Spans(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Spans {
    async fn export(&self, mut spans: Vec<SpanData>) -> OTelSdkResult {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.append(&mut spans);
        Ok(())
    }
}

/// An agent's socket.
fn agent() -> UdpSocket {
    let agent = UdpSocket::bind(("127.0.0.1", 0)).expect("a port is free");
    agent.set_nonblocking(true).expect("it takes the option");
    agent
}

/// An agent whose address nothing else binds once it is gone: the port is outside of the ephemeral range.
fn agent_alone_at(last: u8) -> UdpSocket {
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 100 + last, high, low);
    let agent = UdpSocket::bind((address, 6831)).expect("the address is free");
    agent.set_nonblocking(true).expect("it takes the option");
    agent
}

fn port(agent: &UdpSocket) -> u16 {
    agent.local_addr().expect("it is bound").port()
}

/// Loopback delivers at once.
fn has_received(agent: &UdpSocket) -> bool {
    agent.recv(&mut [0; 1 << 16]).is_ok()
}

/// A test moves the agent by changing the exporter's port.
fn exporter_to(agent: &UdpSocket) -> JaegerExporter {
    JaegerExporter::new("localhost", port(agent))
}

fn exporter_to_address(agent: &UdpSocket) -> JaegerExporter {
    let address = agent.local_addr().expect("it is bound");
    JaegerExporter::new(&address.ip().to_string(), address.port())
}

fn trace() -> Vec<SpanData> {
    let spans = Spans::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(spans.clone())
        .build();
    provider.tracer("test").start("root").end();
    let spans = spans.0.lock().unwrap_or_else(PoisonError::into_inner);
    spans.clone()
}

/// Makes the last lookup older.
fn age(exporter: &mut JaegerExporter, by: Duration) {
    let known = exporter.agent.get_mut().known.as_mut();
    known.expect("it is connected").looked_up -= by;
}

async fn export(exporter: &JaegerExporter) -> OTelSdkResult {
    exporter.export(trace()).await
}

#[tokio::test]
async fn an_agent_that_has_moved_receives_the_trace_that_its_old_address_refuses() {
    let old = agent_alone_at(1);
    let mut exporter = exporter_to_address(&old);
    export(&exporter).await.expect("the agent listens");
    assert!(has_received(&old));

    drop(old);
    let new = agent();
    exporter.host = "localhost".to_owned();
    exporter.port = port(&new);
    export(&exporter).await.expect("it is looked up again");
    assert!(has_received(&new));
}

#[tokio::test]
async fn an_agent_that_has_moved_is_found_after_a_while_though_its_old_address_takes_all() {
    let (old, new) = (agent(), agent());
    let mut exporter = exporter_to(&old);
    export(&exporter).await.expect("the agent listens");
    assert!(has_received(&old));

    exporter.port = port(&new);
    age(&mut exporter, LOOKUP_VALIDITY);
    export(&exporter).await.expect("the agent listens");
    assert!(has_received(&new) && !has_received(&old));
}

#[tokio::test]
async fn a_known_address_outlives_lookups_that_fail() {
    let agent = agent();
    let mut exporter = exporter_to(&agent);
    export(&exporter).await.expect("the agent listens");
    assert!(has_received(&agent));

    // Too long for a host name.
    exporter.host = "x".repeat(300);
    age(&mut exporter, LOOKUP_VALIDITY);
    export(&exporter).await.expect("the address is known");
    assert!(has_received(&agent));
}

#[tokio::test]
async fn a_lookup_that_hangs_keeps_no_trace_from_a_known_address() {
    let agent = agent();
    let mut exporter = exporter_to(&agent);
    for _ in 0..2 {
        export(&exporter).await.expect("the address is known");
        assert!(has_received(&agent));
        age(&mut exporter, LOOKUP_VALIDITY);
        exporter.agent.get_mut().lookup = Some(tokio::spawn(std::future::pending()));
    }
}

#[tokio::test]
async fn a_lookup_that_ended_while_no_trace_waited_is_not_used() {
    let (old, new) = (agent(), agent());
    let mut exporter = exporter_to(&new);
    let ended_long_ago = exporter_to(&old).connect(&mut None).await;
    let lookup = tokio::spawn(async { ended_long_ago });
    while !lookup.is_finished() {
        tokio::task::yield_now().await;
    }
    exporter.agent.get_mut().lookup = Some(lookup);
    export(&exporter).await.expect("the agent listens");
    assert!(has_received(&new) && !has_received(&old));
}

#[tokio::test]
async fn a_trace_that_is_refused_by_a_fresh_address_has_failed() {
    let gone = agent_alone_at(2);
    let exporter = exporter_to_address(&gone);
    drop(gone);
    for _ in 0..2 {
        let error = export(&exporter).await.expect_err("nobody listens");
        assert!(error.to_string().contains("refused"), "{error}");
    }
}

/// So that the agent can read it before the next one.
#[tokio::test]
async fn after_each_large_datagram_there_is_a_pause() {
    const DATAGRAMS: u32 = 20;
    let agent = agent();
    let address = agent.local_addr().expect("it is bound");
    let socket = AgentSocket.create_socket(address).expect("it is free");
    let began = Instant::now();
    for _ in 0..DATAGRAMS {
        let large = vec![0; LARGE_DATAGRAM + 1];
        let sent = AgentSocket.write_to_socket(&socket, large).await;
        sent.expect("the agent's port is open");
        assert!(has_received(&agent));
    }
    assert!(began.elapsed() >= DATAGRAMS * PAUSE);
}
