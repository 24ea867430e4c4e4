//! What is sent to the agent, and that nothing else is. A stand-in receives it.

use std::time::Duration;

use lab::jaeger_agent::{JaegerAgent, Trace};
use lab::rkt_api_service::StandIn;
use lab::service::{Builder, PATIENCE, Service};

use super::{CONNECT, GET_INFO, LIST_IMAGES, ROOT, exporting_to, operations, store, traces};

/// A store that answers, a service that queries it, and the agent that receives the traces.
pub(super) struct Scene {
    pub(super) store: StandIn,
    pub(super) agent: JaegerAgent,
    pub(super) service: Service,
}

impl Scene {
    pub(super) fn set() -> Self {
        Self::with(|builder| builder)
    }

    pub(super) fn with(configure: impl FnOnce(Builder) -> Builder) -> Self {
        let store = store();
        let agent = JaegerAgent::bind();
        let builder = exporting_to(agent.address()).store(store.url());
        Self {
            service: configure(builder).start(),
            store,
            agent,
        }
    }

    /// Runs a query and returns its trace, which must have arrived in one datagram.
    pub(super) fn trace(&self) -> Trace {
        self.service.query();
        self.agent.next_trace(PATIENCE)
    }

    /// Stops the service. Everything that it has sent by then has arrived, because loopback delivers at once.
    fn assert_nothing_more_was_sent(self) {
        assert!(self.service.stop().success());
        if let Some(batch) = self.agent.next_batch(Duration::ZERO) {
            panic!("one more datagram: {batch:#?}");
        }
    }
}

#[test]
fn scrapes_make_no_traces() {
    let scene = Scene::set();
    for path in ["/metrics", "/", "/-/healthy", "/-/ready", "/nowhere"] {
        scene.service.get(path);
    }
    scene.assert_nothing_more_was_sent();
}

#[test]
fn a_query_is_one_datagram_at_every_log_level() {
    let loud = "exp_rkt_grpc=trace,h2=trace,hyper=trace,hyper_util=trace,tower=trace,tonic=trace";
    for level in ["off", "error", "info", loud] {
        let scene = Scene::with(|service| service.arg("--log-level").arg(level));
        let trace = scene.trace();
        assert_eq!(operations(&trace), [CONNECT, ROOT, GET_INFO, LIST_IMAGES]);
        scene.assert_nothing_more_was_sent();
    }
}

/// Jaeger's query API does not show the flags.
#[test]
fn every_span_is_sampled() {
    let trace = Scene::set().trace();
    assert!(trace.spans.iter().all(|span| span.flags & 1 == 1));
}

#[test]
fn without_an_exporter_there_is_no_trace() {
    let scene = Scene::with(|service| service.env("OTEL_TRACES_EXPORTER", "none"));
    scene.service.query();
    for outcome in ["exported", "failed", "dropped"] {
        assert_eq!(traces(&scene.service, outcome), 0.0);
    }
    let calls = scene.store.calls();
    let mut parents = calls.iter().map(|call| call.header("traceparent"));
    assert!(parents.all(|parent| parent.is_none()));
    assert!(scene.service.stop().success());
    assert!(!scene.service.stderr().contains("trace_id"));
    assert_eq!(scene.agent.next_datagram(Duration::ZERO), None);
}
