//! What stays of many queries that failed: nothing but their count. What stays of one huge answer: nothing but its numbers.

use lab::cri_runtime::{self, Image};
use lab::exposition::Scrape;
use lab::poll::eventually;
use lab::rkt_api_service::{self, Behaviour, Language, Reason, v1alpha};
use lab::service::{PATIENCE, Service};
use lab::{TempDir, tempdir};

/// How many images the stand-ins hold.
const IMAGES: usize = 7;

/// How many queries fail.
const FAILURES: usize = 100;

const MIB: usize = 1024 * 1024;

/// When queries that hang are given up.
const DEADLINE: &str = "300ms";

fn every_way_to_fail() -> Vec<Behaviour> {
    let message = || "no".to_owned();
    vec![
        Behaviour::Refuse,
        Behaviour::Silent,
        Behaviour::Speak(Language::Http1),
        Behaviour::Speak(Language::Ssh),
        Behaviour::Speak(Language::Farewell),
        Behaviour::Speak(Language::Tls),
        Behaviour::Speak(Language::Goaway),
        Behaviour::Speak(Language::Nonsense),
        Behaviour::Hang,
        Behaviour::HangInBody,
        Behaviour::Fail {
            code: 14,
            message: message(),
        },
        Behaviour::FailAfterBody {
            code: 15,
            message: message(),
        },
        Behaviour::CutOff,
        Behaviour::Reset(Reason::INTERNAL_ERROR),
        Behaviour::Flood,
        Behaviour::Lie,
        Behaviour::Garbage,
        Behaviour::Truncated,
        Behaviour::Compressed,
        Behaviour::WithoutTrailers,
        Behaviour::NotGrpc { status: 503 },
    ]
}

/// A store of each kind, one over TCP and one at a Unix socket, and the service that asks both.
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

    /// What is known once both have answered; a query that misses a short deadline is made again.
    #[track_caller]
    fn answer(&self) -> Scrape {
        self.behave(&Behaviour::Answer);
        eventually("two good answers", || {
            self.service.query();
            let scrape = self.service.scrape();
            (scrape.sum("imagestore_up") == Some(2.0)).then_some(scrape)
        })
    }

    fn wait_for_the_end_of_connections(&self) {
        self.rkt.wait_for_open_connections(0, PATIENCE);
        self.cri.wait_for_open_connections(0, PATIENCE);
    }
}

/// What must be the same before and after.
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
fn a_hundred_failed_queries_of_every_kind_leave_nothing_behind() {
    let scene = Scene::set(DEADLINE);
    let before = scene.answer();
    scene.wait_for_the_end_of_connections();
    let (fds, threads) = (scene.service.fds(), scene.service.threads());
    let failures = before.sum("imagestore_query_failures_total");

    for behaviour in every_way_to_fail().iter().cycle().take(FAILURES) {
        scene.behave(behaviour);
        scene.service.query();
        let up = scene.service.scrape().sum("imagestore_up");
        assert_eq!(up, Some(0.0), "{behaviour}");
    }
    let failed = scene
        .service
        .scrape()
        .sum("imagestore_query_failures_total");
    assert_eq!(
        failed,
        failures.map(|before| before + 2.0 * FAILURES as f64)
    );

    assert_eq!(known(&scene.answer()), known(&before));
    scene.wait_for_the_end_of_connections();
    // A scrape's connection may have been counted before, while it was being closed.
    eventually("the descriptors of before", || {
        (scene.service.fds() <= fds).then_some(())
    });
    assert_eq!(scene.service.threads(), threads);
}

#[test]
fn an_image_of_64_mib_is_counted_and_never_held() {
    let scene = Scene::set("60s");
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
