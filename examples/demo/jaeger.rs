//! A real Jaeger in place of the embedded receiver: the one that runs on this host, or one that is built and started.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use lab::jaeger::{Api, Jaeger, USUAL};
use lab::jaeger_agent::Trace;
use lab::peers::Peer;

use crate::places::loopback;
use crate::stage::PATIENCE;
use crate::{Break, SPANS, Step};

/// The `service.name` of the traces.
const SERVICE: &str = "exp-rkt-grpc";

/// How often the API is asked for a trace.
const PAUSE: Duration = Duration::from_millis(50);

/// A Jaeger that receives the service's traces. If the demo has started it, it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Receiver {
    api: Api,
    /// The address of a trace, without its id.
    traces: String,
    settings: Vec<(&'static str, String)>,
    started: Option<Jaeger>,
}

impl Receiver {
    /// The Jaeger of this host, if its query API answers at the usual port; otherwise, one of the demo's own.
    pub(super) fn find() -> Step<Self> {
        match Api::at(loopback(USUAL.query)) {
            api if api.answers() => Ok(Self::of_this_host(api)),
            _ => Self::start(),
        }
    }

    /// With OTLP if its port accepts connections: UDP does not report what is lost.
    fn of_this_host(api: Api) -> Self {
        let otlp = TcpStream::connect(loopback(USUAL.otlp)).map(|_accepted| {
            let endpoint = format!("http://{}", loopback(USUAL.otlp));
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        });
        Self {
            traces: format!("http://{}/trace/", api.address()),
            api,
            settings: otlp.into_iter().collect(),
            started: None,
        }
    }

    fn start() -> Step<Self> {
        let nowhere = "no Jaeger listens at port 16686, and none can be built";
        let program = Peer::Jaeger.folder().map_err(Break::because(nowhere))?;
        let jaeger = Jaeger::run(program.join("jaeger"));
        Ok(Self {
            api: jaeger.api(),
            traces: format!("http://{}/api/traces/", jaeger.api().address()),
            settings: vec![
                (
                    "OTEL_EXPORTER_JAEGER_AGENT_HOST",
                    jaeger.agent().ip().to_string(),
                ),
                (
                    "OTEL_EXPORTER_JAEGER_AGENT_PORT",
                    jaeger.agent().port().to_string(),
                ),
            ],
            started: Some(jaeger),
        })
    }

    /// Whose Jaeger it is, and where it receives traces.
    pub(super) fn description(&self) -> String {
        let api = self.api.address();
        match (&self.started, self.settings.first()) {
            (Some(jaeger), _) => format!(
                "No Jaeger listens at {}. One of the demo's own receives traces on UDP {}.",
                loopback(USUAL.query),
                jaeger.agent()
            ),
            (None, Some((_, otlp))) => {
                format!("The Jaeger of this host ({api}) receives traces over OTLP at {otlp}.")
            }
            (None, None) => format!(
                "The Jaeger of this host ({api}) receives traces on UDP {}.",
                loopback(USUAL.agent)
            ),
        }
    }

    /// The environment variables that send the traces there.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        self.settings.clone()
    }

    /// Where to see a trace: in the user interface, or in the API of a Jaeger that is built without one.
    pub(super) fn address_of(&self, id: &str) -> String {
        format!("{}{id}", self.traces)
    }

    /// Waits until Jaeger has the trace.
    pub(super) fn wait_for(&self, id: &str) -> Step<Trace> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let found = self.api.find(id, SERVICE);
            let has = |trace: &Trace, name| !trace.spans_named(name).is_empty();
            let complete = |trace: &Trace| SPANS.iter().all(|name| has(trace, name));
            if let Some(trace) = found.filter(complete) {
                return Ok(trace);
            }
            thread::sleep(PAUSE);
        }
        Err(Break::Failed(format!(
            "after {PATIENCE:?}, {} does not have the trace. {}",
            self.address_of(id),
            self.description()
        )))
    }
}
