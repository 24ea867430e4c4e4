//! Several stores: queried concurrently, within one deadline, and independently of each other.

use lab::cri_runtime::{Behaviour, Images, StandIn};
use lab::exposition::Scrape;
use lab::jaeger_agent::JaegerAgent;
use lab::poll::eventually;
use lab::service::{PATIENCE, ReservedPort, Service};
use lab::{TempDir, rkt_api_service as rkt};

use super::{program, runtime};

const RKT_IMAGES: usize = 4;
const CRI_IMAGES: usize = 7;

/// rkt, a Kubernetes runtime and an address at which nothing listens.
struct Stores {
    rkt: rkt::StandIn,
    cri: StandIn,
    dead: ReservedPort,
    _folder: TempDir,
}

impl Stores {
    fn start() -> Self {
        let (folder, cri) = runtime(Images::generated(CRI_IMAGES));
        Self {
            rkt: rkt::StandIn::tcp(rkt::Images::generated(RKT_IMAGES)),
            cri,
            dead: ReservedPort::reserve(),
            _folder: folder,
        }
    }

    fn service(&self, agent: &JaegerAgent) -> Service {
        program()
            .env("OTEL_TRACES_EXPORTER", "jaeger")
            .env("OTEL_EXPORTER_JAEGER_AGENT_PORT", agent.port().to_string())
            .store(self.rkt.url())
            .store(format!("containerd={}", self.cri.url()))
            .store(format!("dead=rkt+http://{}", self.dead.address()))
            .start()
    }
}

fn value(scrape: &Scrape, name: &str, store: &str) -> Option<f64> {
    scrape.value(name, &[("store", store)])
}

fn failures(scrape: &Scrape, store: &str, code: &str) -> Option<f64> {
    let labels = [("store", store), ("code", code)];
    scrape.value("imagestore_query_failures_total", &labels)
}

#[test]
fn each_store_has_its_own_numbers_under_its_own_name() {
    let stores = Stores::start();
    let service = stores.service(&JaegerAgent::bind());
    service.query();
    let scrape = service.scrape();
    let images = |store| value(&scrape, "imagestore_images", store);
    assert_eq!(images("rkt"), Some(RKT_IMAGES as f64));
    assert_eq!(images("containerd"), Some(CRI_IMAGES as f64));
    assert_eq!(images("dead"), None);
    let up = |store| value(&scrape, "imagestore_up", store);
    assert_eq!(
        ["rkt", "containerd", "dead"].map(up),
        [Some(1.0), Some(1.0), Some(0.0)]
    );
}

#[test]
fn each_store_has_its_own_failures() {
    let stores = Stores::start();
    stores.cri.behave(Behaviour::Garbage);
    let service = stores.service(&JaegerAgent::bind());
    service.query();
    let scrape = service.scrape();
    assert_eq!(failures(&scrape, "containerd", "INTERNAL"), Some(1.0));
    assert_eq!(failures(&scrape, "dead", "UNAVAILABLE"), Some(1.0));
    assert_eq!(scrape.sum("imagestore_query_failures_total"), Some(2.0));
    let images = value(&scrape, "imagestore_images", "rkt");
    assert_eq!(images, Some(RKT_IMAGES as f64));
}

#[test]
fn each_store_has_its_own_client_spans_in_one_trace() {
    let stores = Stores::start();
    let agent = JaegerAgent::bind();
    let service = stores.service(&agent);
    service.query();
    let trace = agent.next_trace(PATIENCE);
    let mut spans: Vec<_> = trace
        .children_of(trace.root())
        .into_iter()
        .map(|span| {
            let store = span.text("imagestore.store").unwrap_or_default();
            (store, span.operation.as_str(), span.is_error())
        })
        .collect();
    spans.sort();
    let expected = [
        ("containerd", "runtime.v1.ImageService/ImageFsInfo", false),
        ("containerd", "runtime.v1.ImageService/StreamImages", false),
        (
            "containerd",
            "runtime.v1.RuntimeService/StreamContainers",
            false,
        ),
        ("containerd", "runtime.v1.RuntimeService/Version", false),
        ("dead", "v1alpha.PublicAPI/ListImages", true),
        ("rkt", "v1alpha.PublicAPI/GetInfo", false),
        ("rkt", "v1alpha.PublicAPI/ListImages", false),
    ];
    let expected = expected.map(|(store, name, failed)| (store.to_owned(), name, failed));
    assert_eq!(spans, expected, "{}", trace.render());
}

#[test]
fn each_store_has_its_own_line_in_the_log() {
    let stores = Stores::start();
    let service = stores.service(&JaegerAgent::bind());
    service.query();
    let logged = |text: &str, store: &str, message: &str| {
        let store = format!("imagestore.store=\"{store}\"");
        let lines = text.lines().filter(|line| line.contains(&store));
        lines.filter(|line| line.contains(message)).count() == 1
    };
    service.wait_for_stderr(
        |text| {
            logged(text, "rkt", "images counted")
                && logged(text, "containerd", "images counted")
                && logged(text, "dead", "query failed")
        },
        PATIENCE,
    );
}

#[test]
fn two_stores_are_queried_concurrently() {
    let stores = Stores::start();
    stores.rkt.behave(rkt::Behaviour::Hang);
    stores.cri.behave(Behaviour::Hang);
    let service = stores.service(&JaegerAgent::bind());
    service.trigger();
    // Both are queried before either has answered.
    stores.rkt.wait_for_calls(1, PATIENCE);
    stores.cri.wait_for_calls(1, PATIENCE);
    stores.rkt.behave(rkt::Behaviour::Answer);
    stores.cri.behave(Behaviour::Answer);
    stores.rkt.release();
    stores.cri.release();
    let status = service.wait_for_status(PATIENCE);
    assert!(
        status.contains("rkt: 4 images") && status.contains("containerd: 7 images"),
        "{status}"
    );
}

#[test]
fn two_stores_that_hang_share_one_deadline() {
    let stores = Stores::start();
    stores.rkt.behave(rkt::Behaviour::Hang);
    stores.cri.behave(Behaviour::Hang);
    let service = program()
        .store(stores.rkt.url())
        .store(stores.cri.url())
        .arg("--deadline")
        .arg("300ms")
        .start();
    service.query();
    let scrape = service.scrape();
    for store in ["rkt", "cri"] {
        let exceeded = failures(&scrape, store, "DEADLINE_EXCEEDED");
        assert_eq!(exceeded, Some(1.0), "{store}");
    }
}

#[test]
fn a_fast_stores_numbers_are_shown_while_a_slow_one_hangs() {
    let stores = Stores::start();
    stores.rkt.behave(rkt::Behaviour::Hang);
    let service = stores.service(&JaegerAgent::bind());
    service.trigger();
    stores.rkt.wait_for_calls(1, PATIENCE);
    let scrape = eventually("the fast store's numbers", || {
        let scrape = service.scrape();
        value(&scrape, "imagestore_up", "containerd").and(Some(scrape))
    });
    let images = value(&scrape, "imagestore_images", "containerd");
    assert_eq!(images, Some(CRI_IMAGES as f64));
    assert_eq!(value(&scrape, "imagestore_up", "rkt"), None);
    assert_eq!(value(&scrape, "imagestore_queries_total", "rkt"), Some(0.0));
}

#[test]
fn a_failure_of_one_store_does_not_change_the_numbers_of_another() {
    let stores = Stores::start();
    let service = stores.service(&JaegerAgent::bind());
    service.query();
    stores.cri.behave(Behaviour::CutOff);
    stores.cri.serve_images(Images::generated(100));
    stores.rkt.serve_images(rkt::Images::generated(5));
    let status = service.query();
    assert!(status.contains("containerd: query failed"), "{status}");
    let scrape = service.scrape();
    let images = |store| value(&scrape, "imagestore_images", store);
    assert_eq!(
        (images("rkt"), images("containerd")),
        (Some(5.0), Some(7.0))
    );
    let up = |store| value(&scrape, "imagestore_up", store);
    assert_eq!((up("rkt"), up("containerd")), (Some(1.0), Some(0.0)));
}
