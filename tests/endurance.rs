//! Many failed queries leave nothing behind but their count, and a huge answer is not held in memory.

use lab::cri_runtime::{self, Image};
use lab::exposition::Scrape;
use lab::poll::eventually;
use lab::rkt_api_service::{self, Behaviour, Language, Reason, v1alpha};
use lab::service::{PATIENCE, Service};
use lab::{TempDir, tempdir};
use tonic::Status;

/// The number of images in the stand-ins.
const IMAGES: usize = 7;

/// The number of queries that fail.
const FAILURES: usize = 100;

/// The number of queries that are given up, each after its deadline.
const GIVEN_UP: usize = 20;

const MIB: usize = 1024 * 1024;

/// A deadline that no query reaches.
const LONG: &str = "10m";

fn every_way_to_fail_by_itself() -> Vec<Behaviour> {
    vec![
        Behaviour::Refuse,
        Behaviour::Speak(Language::Http1),
        Behaviour::Speak(Language::Ssh),
        Behaviour::Speak(Language::Farewell),
        Behaviour::Speak(Language::Tls),
        Behaviour::Speak(Language::Goaway),
        Behaviour::Speak(Language::Nonsense),
        Behaviour::Fail(Status::unavailable("no")),
        Behaviour::FailAfterBody(Status::data_loss("no")),
        Behaviour::CutOff,
        Behaviour::Reset(Reason::INTERNAL_ERROR),
        Behaviour::Lie,
        Behaviour::Garbage,
        Behaviour::Truncated,
        Behaviour::Compressed,
        Behaviour::WithoutTrailers,
        Behaviour::NotGrpc { status: 503 },
    ]
}

/// Behaviour that only the deadline ends.
const ENDLESS: [Behaviour; 4] = [
    Behaviour::Silent,
    Behaviour::Hang,
    Behaviour::HangInBody,
    Behaviour::Flood,
];

/// A store of each kind, one over TCP and one at a Unix socket, and the service that queries both.
struct Scene {
    rkt: rkt_api_service::StandIn,
    cri: cri_runtime::StandIn,
    service: Service,
    _folder: TempDir,
}

impl Scene {
    fn set(deadline: &str) -> Self {
        let folder = tempdir().expect("a temporary folder can be made");
        let socket = folder.path().join("cri.sock");
        let rkt = rkt_api_service::StandIn::tcp(rkt_api_service::Images::generated(IMAGES));
        let images = cri_runtime::Images::generated(IMAGES);
        let cri = cri_runtime::StandIn::unix(&socket, images).expect("the path is free");
        let service = Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
            .env("OTEL_TRACES_EXPORTER", "none")
            .store(rkt.url())
            .store(cri.url())
            .arg("--deadline")
            .arg(deadline)
            .start();
        Self {
            rkt,
            cri,
            service,
            _folder: folder,
        }
    }

    fn behave(&self, behaviour: &Behaviour) {
        self.rkt.behave(behaviour.clone());
        self.cri.behave(behaviour.clone());
    }

    /// Runs a query that both stores answer, and returns the next scrape.
    #[track_caller]
    fn answer(&self) -> Scrape {
        self.behave(&Behaviour::Answer);
        let status = self.service.query();
        let scrape = self.service.scrape();
        assert_eq!(scrape.sum("imagestore_up"), Some(2.0), "{status}");
        scrape
    }

    /// Runs a query that fails for both stores.
    #[track_caller]
    fn fail(&self, behaviour: &Behaviour) {
        self.behave(behaviour);
        self.service.query();
        let up = self.service.scrape().sum("imagestore_up");
        assert_eq!(up, Some(0.0), "{behaviour:?}");
    }

    fn failures(&self) -> f64 {
        let scrape = self.service.scrape();
        let failures = scrape.sum("imagestore_query_failures_total");
        failures.expect("failures are counted from the start")
    }

    fn wait_for_the_end_of_connections(&self) {
        self.rkt.wait_for_open_connections(0, PATIENCE);
        self.cri.wait_for_open_connections(0, PATIENCE);
    }

    fn held(&self) -> Held {
        self.wait_for_the_end_of_connections();
        Held {
            fds: self.service.fds(),
            threads: self.service.threads(),
        }
    }

    #[track_caller]
    fn wait_until_no_more_is_held_than(&self, before: &Held) {
        self.wait_for_the_end_of_connections();
        // `before` may include a scrape's connection that was being closed.
        eventually("no more descriptors than before", || {
            (self.service.fds() <= before.fds).then_some(())
        });
        assert_eq!(self.service.threads(), before.threads);
    }
}

/// Kernel resources that the idle service holds.
struct Held {
    fds: usize,
    threads: usize,
}

/// Numbers that must be the same before and after.
fn known(scrape: &Scrape) -> Vec<Option<f64>> {
    [
        "imagestore_images",
        "imagestore_images_size_bytes",
        "imagestore_response_bytes",
        "imagestore_registry_images",
        "imagestore_runtime_info",
        "imagestore_filesystem_used_bytes",
    ]
    .map(|name| scrape.sum(name))
    .into()
}

#[test]
fn a_hundred_failed_queries_leave_no_connection_descriptor_or_thread_behind() {
    let scene = Scene::set(LONG);
    let known_before = known(&scene.answer());
    let (held, failures) = (scene.held(), scene.failures());
    for behaviour in every_way_to_fail_by_itself().iter().cycle().take(FAILURES) {
        scene.fail(behaviour);
    }
    assert_eq!(scene.failures(), failures + 2.0 * FAILURES as f64);
    assert_eq!(known(&scene.answer()), known_before);
    scene.wait_until_no_more_is_held_than(&held);
}

#[test]
fn queries_that_exceed_the_deadline_leave_no_connection_descriptor_or_thread_behind() {
    let scene = Scene::set("300ms");
    let held = scene.held();
    for behaviour in ENDLESS.iter().cycle().take(GIVEN_UP) {
        scene.fail(behaviour);
    }
    assert_eq!(scene.failures(), 2.0 * GIVEN_UP as f64);
    scene.wait_until_no_more_is_held_than(&held);
}

#[test]
fn an_image_message_of_64_mib_is_counted_and_never_held_in_memory() {
    let scene = Scene::set(LONG);
    scene.answer();
    let before = scene.service.peak_memory();

    let name = "x".repeat(64 * MIB);
    scene
        .rkt
        .serve_images(rkt_api_service::Images::Listed(vec![v1alpha::Image {
            name,
            size: 5,
            ..v1alpha::Image::default()
        }]));
    let tag = "example.org/service:".len() + 44;
    let tags = (0..MIB).map(|tag| format!("example.org/service:{tag:044}").into_bytes());
    scene.cri.serve_images(cri_runtime::Images::listed([Image {
        repo_tags: tags.collect(),
        ..Image::untagged()
    }]));
    let scrape = scene.answer();

    assert_eq!(scrape.sum("imagestore_images"), Some(2.0));
    let read = scrape.sum("imagestore_response_bytes");
    assert!(read > Some((64 * MIB + tag * MIB) as f64), "{read:?}");
    let grown = scene.service.peak_memory().saturating_sub(before);
    assert!(grown < 8 * MIB as u64, "{grown} bytes more");
}
