//! Each query is logged in one line: as text on standard error, or with fields in the journal.

use lab::jaeger_agent::JaegerAgent;
use lab::rkt_api_service::{Images, StandIn};
use lab::service::{Builder, Service};

#[path = "logs/journal.rs"]
mod journal;
#[path = "logs/journald.rs"]
mod journald;
#[path = "logs/stderr.rs"]
mod stderr;

/// The number of images in the stand-ins.
const IMAGES: usize = 7;

/// A service, the store that it queries, and the agent that receives its traces.
struct Scene {
    store: StandIn,
    agent: JaegerAgent,
    service: Service,
}

impl Scene {
    fn set(builder: Builder) -> Self {
        let store = StandIn::tcp(Images::generated(IMAGES));
        let agent = JaegerAgent::bind();
        let service = builder
            .env("OTEL_EXPORTER_JAEGER_AGENT_PORT", agent.port().to_string())
            .store(store.url())
            .start();
        Self {
            store,
            agent,
            service,
        }
    }

    fn stop(&self) {
        assert!(self.service.stop().success());
    }
}

fn program() -> Builder {
    Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
}
