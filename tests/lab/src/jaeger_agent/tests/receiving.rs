//! What reaches the socket, in time or not.

use super::super::*;
use super::{CHILD, PROCESS, ROOT, STOP, datagram};

const SOON: Duration = crate::service::PATIENCE;

fn send(to: &JaegerAgent, datagrams: &[&[u8]]) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    for datagram in datagrams {
        socket
            .send_to(datagram, to.address())
            .expect("loopback takes datagrams");
    }
}

#[test]
fn what_does_not_decode_is_an_error_and_not_the_end() {
    let agent = JaegerAgent::bind();
    send(&agent, &[b"no batch", b"\x82\x81\x01\x09emitBatch\x00"]);
    let first = agent
        .next_batch(SOON)
        .expect("the first datagram")
        .expect_err("no batch");
    assert_eq!(first.to_string(), "byte 0: protocol id 0x6e, not 0x82");
    let second = agent
        .next_batch(SOON)
        .expect("the second datagram")
        .expect_err("no batch");
    assert_eq!(second.why, "the batch of emitBatch is missing");
}

#[test]
#[should_panic(expected = "no datagram reached the Jaeger agent within 1ms")]
fn a_trace_that_does_not_come_is_said_so() {
    JaegerAgent::bind().next_trace(Duration::from_millis(1));
}

#[test]
fn being_asked_for_silence_loses_no_datagram() {
    let agent = JaegerAgent::bind();
    assert!(agent.is_silent_for(Duration::from_millis(1)));
    send(&agent, &[b"noise"]);
    assert!(!agent.is_silent_for(SOON));
    assert_eq!(agent.next_datagram(SOON).as_deref(), Some(&b"noise"[..]));
}

#[test]
fn the_port_is_free_again_after_a_drop() {
    let agent = JaegerAgent::bind();
    let address = agent.address();
    assert!(JaegerAgent::bind_at(address).is_err());
    drop(agent);
    JaegerAgent::bind_at(address).expect("the socket was closed");
}

#[test]
fn a_trace_that_was_split_comes_together() {
    let agent = JaegerAgent::bind();
    let mut other: Vec<&[u8]> = vec![&[0x16, 0x08]]; // of trace 4 in the low half
    other.extend(&ROOT[1..]);
    for spans in [&[CHILD][..], &[], &[&other], &[ROOT]] {
        send(&agent, &[&datagram(PROCESS, spans)]);
    }
    let trace = agent.next_trace_of(2, SOON);
    assert!(trace.spans.iter().all(|span| span.trace_id == trace.id()));
    assert_eq!(trace.root().operation, "root");
    assert_eq!(trace.children_of(trace.root()), [trace.span("child")]);
}

#[test]
#[should_panic(expected = "1 of 2 spans reached the Jaeger agent within 10ms")]
fn a_trace_that_stays_incomplete_is_said_so() {
    let agent = JaegerAgent::bind();
    send(&agent, &[&datagram(PROCESS, &[ROOT])]);
    agent.next_trace_of(2, Duration::from_millis(10));
}

#[test]
#[should_panic(expected = "exactly one trace")]
fn a_batch_without_spans_is_no_trace() {
    let agent = JaegerAgent::bind();
    send(&agent, &[&datagram(&[&[0x1c], b"\x18\x03svc", STOP], &[])]);
    agent.next_trace(SOON);
}
