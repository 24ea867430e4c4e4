//! Every query is one trace, which is sent to Jaeger as soon as the query has ended: over UDP or over OTLP.
//!
//! | module | what receives the traces |
//! | --- | --- |
//! | `attributes`, `failures`, `limits`, `search`, `shape`, `stopping` | a real Jaeger, from both exporters |
//! | `outages` | a real Jaeger that starts late, stops and comes back |
//! | `datagrams`, `sampling` | a stand-in for its agent: what is sent, and that nothing else is |
//! | `reachability`, `moved` | stand-ins at other addresses, or nothing |
//! | `otlp` | a collector that refuses, hangs and complains |

use std::net::SocketAddr;

use lab::jaeger::Jaeger;
use lab::jaeger_agent::{Span, Trace};
use lab::poll::eventually;
use lab::rkt_api_service::{Images, StandIn};
use lab::service::{Builder, PATIENCE, Service};

#[path = "traces/attributes.rs"]
mod attributes;
#[path = "traces/datagrams.rs"]
mod datagrams;
#[path = "traces/failures.rs"]
mod failures;
#[path = "traces/limits.rs"]
mod limits;
#[path = "traces/moved.rs"]
mod moved;
#[path = "traces/otlp.rs"]
mod otlp;
#[path = "traces/outages.rs"]
mod outages;
#[path = "traces/reachability.rs"]
mod reachability;
#[path = "traces/sampling.rs"]
mod sampling;
#[path = "traces/search.rs"]
mod search;
#[path = "traces/shape.rs"]
mod shape;
#[path = "traces/stopping.rs"]
mod stopping;

/// The service's name in Jaeger, by default.
const SERVICE: &str = "exp-rkt-grpc";

const ROOT: &str = "imagestore query";
const LIST_IMAGES: &str = "v1alpha.PublicAPI/ListImages";
const GET_INFO: &str = "v1alpha.PublicAPI/GetInfo";
const CONNECT: &str = "connect";

/// The spans of a query that succeeds: those above.
const SPANS: usize = 4;

/// The number of images in the stand-ins.
const IMAGES: usize = 7;

/// How traces reach Jaeger.
#[derive(Clone, Copy, Debug)]
enum Exporter {
    /// Compact Thrift over UDP: the default.
    Jaeger,
    /// OTLP over gRPC.
    Otlp,
}

impl Exporter {
    const BOTH: [Self; 2] = [Self::Jaeger, Self::Otlp];

    fn to(self, jaeger: &Jaeger) -> Builder {
        match self {
            Self::Jaeger => exporting_to(jaeger.agent()),
            Self::Otlp => exporting_over_otlp(&jaeger.otlp_endpoint()),
        }
    }
}

/// A store that answers, a service that queries it, and the Jaeger that receives the traces, from the other tests too.
struct Scene {
    store: StandIn,
    service: Service,
    exporter: Exporter,
    jaeger: &'static Jaeger,
}

impl Scene {
    /// A scene for each exporter. Empty if there is no Jaeger: the skipped test is reported.
    fn each() -> impl Iterator<Item = Self> {
        Self::each_with(|service| service)
    }

    fn each_with(configure: impl Fn(Builder) -> Builder) -> impl Iterator<Item = Self> {
        let both = Exporter::BOTH.into_iter();
        both.filter_map(move |exporter| Self::over(exporter, &configure))
    }

    fn over(exporter: Exporter, configure: impl FnOnce(Builder) -> Builder) -> Option<Self> {
        let jaeger = Jaeger::shared()?;
        let store = store();
        let service = exporter.to(jaeger).store(store.url());
        Some(Self {
            service: configure(service).start(),
            store,
            exporter,
            jaeger,
        })
    }

    /// Runs a query, and returns its trace of [`SPANS`] spans.
    #[track_caller]
    fn trace(&self) -> Trace {
        self.trace_of(SPANS)
    }

    #[track_caller]
    fn trace_of(&self, spans: usize) -> Trace {
        self.find(&query(&self.service), spans)
    }

    /// The trace of this id, which has exactly this number of spans.
    #[track_caller]
    fn find(&self, id: &str, spans: usize) -> Trace {
        // Shown if the test fails.
        println!("{:?}: {id}", self.exporter);
        let trace = self.jaeger.api().trace(id, SERVICE, spans);
        assert_eq!(trace.spans.len(), spans, "{}", trace.render());
        trace
    }
}

/// Runs a query, and returns the id of its trace from the log, as an operator does.
#[track_caller]
fn query(service: &Service) -> String {
    let before = service.stderr();
    service.query();
    next_id(service, &before)
}

/// Waits for a trace id that the log did not have before.
#[track_caller]
fn next_id(service: &Service, before: &str) -> String {
    let new = |log: &str| {
        let mut ids = log.split("trace_id=").skip(1).filter_map(|id| id.get(..32));
        ids.find(|id| !before.contains(id)).map(str::to_owned)
    };
    let log = service.wait_for_stderr(|log| new(log).is_some(), PATIENCE);
    new(&log).expect("the log has it")
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

fn exporting_over_otlp(endpoint: &str) -> Builder {
    program()
        .env("OTEL_TRACES_EXPORTER", "otlp")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
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
    let spans = trace.spans.iter();
    let mut operations: Vec<_> = spans.map(|span| span.operation.as_str()).collect();
    operations.sort_unstable();
    operations
}
