//! Every query is one trace, which is sent to a Jaeger agent or an OTLP collector as soon as the query has ended.

use std::net::SocketAddr;

use lab::jaeger_agent::{JaegerAgent, Span, Trace};
use lab::poll::eventually;
use lab::rkt_api_service::{Images, StandIn};
use lab::service::{Builder, PATIENCE, Service};

#[path = "traces/attributes.rs"]
mod attributes;
#[path = "traces/failures.rs"]
mod failures;
#[path = "traces/limits.rs"]
mod limits;
#[path = "traces/moved.rs"]
mod moved;
#[path = "traces/otlp.rs"]
mod otlp;
#[path = "traces/reachability.rs"]
mod reachability;
#[path = "traces/sampling.rs"]
mod sampling;
#[path = "traces/shape.rs"]
mod shape;
#[path = "traces/stopping.rs"]
mod stopping;

const ROOT: &str = "imagestore query";
const LIST_IMAGES: &str = "v1alpha.PublicAPI/ListImages";
const GET_INFO: &str = "v1alpha.PublicAPI/GetInfo";
const CONNECT: &str = "connect";

/// The number of images in the stand-ins.
const IMAGES: usize = 7;

/// A store that answers, a service that queries it, and the agent that receives the traces.
struct Scene {
    store: StandIn,
    agent: JaegerAgent,
    service: Service,
}

impl Scene {
    fn set() -> Self {
        Self::with(|builder| builder)
    }

    fn with(configure: impl FnOnce(Builder) -> Builder) -> Self {
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
    fn trace(&self) -> Trace {
        self.service.query();
        self.agent.next_trace(PATIENCE)
    }

    /// Stops the service. Everything that it has sent by then has arrived, because loopback delivers at once.
    fn assert_nothing_more_was_sent(self) {
        assert!(self.service.stop().success());
        if let Some(batch) = self.agent.next_batch(std::time::Duration::ZERO) {
            panic!("one more datagram: {batch:#?}");
        }
    }
}

fn store() -> StandIn {
    StandIn::tcp(Images::generated(IMAGES))
}

fn program() -> Builder {
    Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
}

fn exporting_to(agent: SocketAddr) -> Builder {
    program()
        .env("OTEL_EXPORTER_JAEGER_AGENT_HOST", agent.ip().to_string())
        .env("OTEL_EXPORTER_JAEGER_AGENT_PORT", agent.port().to_string())
}

fn traces(service: &Service, outcome: &str) -> f64 {
    let labels = [("outcome", outcome)];
    let count = service.scrape().value("exp_rkt_grpc_traces_total", &labels);
    count.expect("every outcome is counted from the start")
}

/// Waits until this many traces have this outcome: the exporter finishes shortly after the query.
#[track_caller]
fn wait_for_traces(service: &Service, outcome: &str, count: usize) {
    let found = eventually(&format!("{count} traces {outcome}"), || {
        let found = traces(service, outcome);
        (found >= count as f64).then_some(found)
    });
    assert_eq!(found, count as f64, "traces {outcome}");
}

/// The tag as text; panics if the span does not have it.
#[track_caller]
fn tag(span: &Span, name: &str) -> String {
    span.text(name)
        .unwrap_or_else(|| panic!("no tag {name}: {span:#?}"))
}

fn operations(trace: &Trace) -> Vec<&str> {
    let mut operations: Vec<_> = trace
        .spans
        .iter()
        .map(|span| span.operation.as_str())
        .collect();
    operations.sort_unstable();
    operations
}
