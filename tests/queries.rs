//! The effects of a query of rkt's api-service on status, metrics and log, for all kinds of answers.

use lab::TempDir;
use lab::exposition::Scrape;
use lab::rkt_api_service::{Images, StandIn};
use lab::service::{Builder, Service};

#[path = "queries/answers.rs"]
mod answers;
#[path = "queries/failures.rs"]
mod failures;
#[path = "queries/own_limits.rs"]
mod own_limits;
#[path = "queries/status.rs"]
mod status;
#[path = "queries/wire.rs"]
mod wire;

/// The number of images in the stand-ins.
const IMAGES: usize = 7;

/// The default label of the only store.
const RKT: &[(&str, &str)] = &[("store", "rkt")];

/// A store and the service that queries it.
struct Scene {
    store: StandIn,
    service: Service,
}

impl Scene {
    fn set() -> Self {
        Self::of(StandIn::tcp(Images::generated(IMAGES)), |builder| builder)
    }

    fn over_unix(folder: &TempDir) -> Self {
        let [_, unix] = tcp_and_unix(folder);
        Self::of(unix, |builder| builder)
    }

    fn with_deadline(deadline: &str) -> Self {
        Self::of(StandIn::tcp(Images::generated(IMAGES)), |builder| {
            builder.arg("--deadline").arg(deadline)
        })
    }

    fn of(store: StandIn, configure: impl FnOnce(Builder) -> Builder) -> Self {
        let builder = program().store(store.url());
        Self {
            service: configure(builder).start(),
            store,
        }
    }

    /// Runs a query and returns the next scrape.
    fn query(&self) -> Scrape {
        self.service.query();
        self.service.scrape()
    }
}

/// A store over TCP, and one at a Unix socket in this folder.
fn tcp_and_unix(folder: &TempDir) -> [StandIn; 2] {
    let path = folder.path().join("api.sock");
    let unix = StandIn::unix(&path, Images::generated(IMAGES)).expect("the path is free");
    [StandIn::tcp(Images::generated(IMAGES)), unix]
}

fn program() -> Builder {
    Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc")).env("OTEL_TRACES_EXPORTER", "none")
}

fn value(scrape: &Scrape, name: &str) -> Option<f64> {
    scrape.value(name, RKT)
}

fn images(scrape: &Scrape) -> Option<f64> {
    value(scrape, "imagestore_images")
}

fn failures_of(scrape: &Scrape, code: &str) -> Option<f64> {
    let labels = [("store", "rkt"), ("code", code)];
    scrape.value("imagestore_query_failures_total", &labels)
}
