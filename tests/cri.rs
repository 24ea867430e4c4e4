//! Kubernetes runtimes: the calls that they receive, the numbers that are counted, and the codes of failures. The runtime is a
//! stand-in, which can fail in ways that a real containerd cannot be made to; tests/containerd.rs has what real ones show.

use lab::cri_runtime::{Images, Method, StandIn};
use lab::exposition::Scrape;
use lab::service::{Builder, Service};
use lab::{TempDir, tempdir};

#[path = "cri/calls.rs"]
mod calls;
#[path = "cri/listing.rs"]
mod listing;
#[path = "cri/names.rs"]
mod names;
#[path = "cri/numbers.rs"]
mod numbers;
#[path = "cri/permission.rs"]
mod permission;
#[path = "cri/several.rs"]
mod several;
#[path = "cri/side_calls.rs"]
mod side_calls;
#[path = "cri/trouble.rs"]
mod trouble;
#[path = "cri/unused.rs"]
mod unused;

/// The label of the only store.
const CRI: [(&str, &str); 1] = [("store", "cri")];

/// A runtime at a Unix socket, and a service that queries it.
struct Scene {
    runtime: StandIn,
    service: Service,
    _folder: TempDir,
}

impl Scene {
    fn of(images: Images) -> Self {
        Self::with(images, |builder| builder)
    }

    fn with(images: Images, configure: impl FnOnce(Builder) -> Builder) -> Self {
        let (folder, runtime) = runtime(images);
        let service = configure(program().store(runtime.url())).start();
        Self {
            runtime,
            service,
            _folder: folder,
        }
    }

    /// Runs a query and returns the next scrape.
    #[track_caller]
    fn ask(&self) -> Scrape {
        self.service.query();
        self.service.scrape()
    }

    /// The methods that one more query calls, in order.
    #[track_caller]
    fn methods_asked(&self) -> Vec<Method> {
        let before = self.runtime.calls().len();
        self.service.query();
        let calls = self.runtime.calls();
        calls[before..]
            .iter()
            .map(|call| call.method().expect("the method exists"))
            .collect()
    }

    /// The methods for images that one more query calls, in order.
    #[track_caller]
    fn lists_asked(&self) -> Vec<Method> {
        let mut methods = self.methods_asked();
        methods.retain(|method| matches!(method, Method::ListImages | Method::StreamImages));
        methods
    }
}

/// A stand-in at a socket in a folder of its own.
fn runtime(images: Images) -> (TempDir, StandIn) {
    let folder = tempdir().expect("a temporary folder can be made");
    let runtime = StandIn::unix(&folder.path().join("cri.sock"), images);
    (folder, runtime.expect("a socket can be bound there"))
}

/// The program, without traces.
fn program() -> Builder {
    Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc")).env("OTEL_TRACES_EXPORTER", "none")
}

/// The value of a metric of the only store.
fn number(scrape: &Scrape, name: &str) -> Option<f64> {
    scrape.value(name, &CRI)
}

/// How often the only store's queries failed with this code; panics unless the code is counted.
#[track_caller]
fn failures(scrape: &Scrape, code: &str) -> f64 {
    let labels = [("store", "cri"), ("code", code)];
    let failures = scrape.value("imagestore_query_failures_total", &labels);
    failures.expect("every code is counted from the start")
}

/// The only store's images by registry, in the order of the exposition.
fn registries(scrape: &Scrape) -> Vec<(String, u64)> {
    let samples = scrape.samples("imagestore_registry_images");
    samples
        .map(|sample| (sample.labels["registry"].clone(), sample.value as u64))
        .collect()
}
