//! Debian's containerd: its images are counted, its failures reported, and the last good numbers kept. Needs root.

use lab::containerd::{Containerd, Layer, OciImage, Setup};
use lab::exposition::Scrape;
use lab::identity::{GROUP, MEMBER, NOBODY, POWERLESS_ROOT, PublicProgram};
use lab::jaeger_agent::{JaegerAgent, Trace};
use lab::poll::eventually;
use lab::service::{Builder, PATIENCE, Service, run};

const LIST_IMAGES: &str = "runtime.v1.ImageService/ListImages";

/// The numbers of gRPC codes.
const RESOURCE_EXHAUSTED: i32 = 8;
const UNIMPLEMENTED: i32 = 12;

/// The registries of the test images.
const REGISTRIES: [&str; 4] = [
    "docker.io/library",
    "registry.k8s.io",
    "quay.io/example",
    "localhost:5000",
];

/// A containerd, a service that queries it, and the agent that receives the traces.
struct Scene {
    containerd: Containerd,
    service: Service,
    agent: JaegerAgent,
}

/// The status, scrape and trace of one query.
struct Event {
    status: String,
    scrape: Scrape,
    trace: Trace,
}

impl Scene {
    fn start() -> Self {
        Self::of(Containerd::start())
    }

    fn of(containerd: Containerd) -> Self {
        Self::with(containerd, |builder| builder)
    }

    fn with(containerd: Containerd, configure: impl FnOnce(Builder) -> Builder) -> Self {
        let agent = JaegerAgent::bind();
        let builder = Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
            .env("OTEL_EXPORTER_JAEGER_AGENT_PORT", agent.port().to_string())
            .store(containerd.url());
        Self {
            service: configure(builder).start(),
            containerd,
            agent,
        }
    }

    #[track_caller]
    fn ask(&self) -> Event {
        let status = self.service.query();
        Event {
            status,
            scrape: self.service.scrape(),
            trace: self.agent.next_trace(PATIENCE),
        }
    }

    /// Runs a query, which fails with this code and these words in metrics, trace and log.
    #[track_caller]
    fn assert_fails(&self, code: &str, words: &str) {
        let before = self.service.scrape();
        let Event {
            status,
            scrape,
            trace,
        } = self.ask();
        assert!(status.contains(words), "{status}");
        assert_eq!(number(&scrape, "imagestore_up"), Some(0.0));
        assert_eq!(
            failures(&scrape, code),
            failures(&before, code) + 1.0,
            "{status}"
        );
        let kept = [
            "imagestore_images",
            "imagestore_last_success_timestamp_seconds",
        ];
        for name in kept {
            assert_eq!(number(&scrape, name), number(&before, name), "{name}");
        }
        assert!(trace.root().is_error(), "{}", trace.render());
        let traced = trace.spans.iter().any(|span| {
            span.is_error()
                && span.text("rpc.response.status_code").as_deref() == Some(code)
                && span.text("imagestore.store").as_deref() == Some("cri")
        });
        assert!(traced, "{}", trace.render());
        let id = format!("trace_id={}", trace.id_hex());
        let code = format!("code=\"{code}\"");
        let complete = |text: &str| {
            let mut lines = text.lines().filter(|line| line.contains(&id));
            lines.any(|line| {
                line.contains("query failed") && line.contains(&code) && line.contains(words)
            })
        };
        self.service.wait_for_stderr(complete, PATIENCE);
    }

    /// Runs a query, whose numbers are those of a plain CRI client and of `ctr`.
    #[track_caller]
    fn assert_counts(&self, count: usize) {
        let listed = self.containerd.images().expect("containerd answers");
        assert_eq!(listed.len(), count);
        assert_eq!(self.containerd.ctr_images(), count);
        let scrape = self.ask().scrape;
        let untagged = listed.iter().filter(|image| image.repo_tags.is_empty());
        let pinned = listed.iter().filter(|image| image.pinned);
        let expected = [
            ("imagestore_up", 1.0),
            ("imagestore_images", count as f64),
            (
                "imagestore_images_size_bytes",
                listed.iter().map(|image| image.size as f64).sum(),
            ),
            ("imagestore_untagged_images", untagged.count() as f64),
            ("imagestore_pinned_images", pinned.count() as f64),
        ];
        for (name, expected) in expected {
            assert_eq!(number(&scrape, name), Some(expected), "{name}");
        }
    }
}

fn number(scrape: &Scrape, name: &str) -> Option<f64> {
    scrape.value(name, &[("store", "cri")])
}

#[track_caller]
fn failures(scrape: &Scrape, code: &str) -> f64 {
    let labels = [("store", "cri"), ("code", code)];
    let failures = scrape.value("imagestore_query_failures_total", &labels);
    failures.expect("every code is counted from the start")
}

fn registry(scrape: &Scrape, host: &str) -> Option<f64> {
    let labels = [("store", "cri"), ("registry", host)];
    scrape.value("imagestore_registry_images", &labels)
}

/// Images with these ordinals, of each registry in turn.
fn images(ordinals: std::ops::Range<usize>) -> Vec<OciImage> {
    ordinals
        .map(|ordinal| {
            let registry = REGISTRIES[ordinal % REGISTRIES.len()];
            OciImage::named(format!("{registry}/service-{ordinal}:1.0"))
        })
        .collect()
}

#[test]
fn a_containerd_without_images_is_counted_as_0_and_reports_its_version() {
    let scene = Scene::start();
    scene.assert_counts(0);
    let scrape = scene.ask().scrape;
    let info = scrape.samples("imagestore_runtime_info").next();
    let info = info.expect("containerd reports its version");
    assert_eq!(info.labels["runtime"], "containerd");
    assert_eq!(info.labels["api_version"], "v1");
    assert!(!info.labels["version"].is_empty());
}

#[test]
fn a_thousand_images_are_counted_as_ctr_and_a_cri_client_count_them() {
    let scene = Scene::start();
    for (from, to) in [(0, 1), (1, 100), (100, 1_000)] {
        scene.containerd.import(&images(from..to));
        scene.assert_counts(to);
    }
    let scrape = scene.ask().scrape;
    for host in ["docker.io", "registry.k8s.io", "quay.io", "localhost:5000"] {
        assert_eq!(registry(&scrape, host), Some(250.0), "{host}");
    }
}

#[test]
fn images_that_come_and_go_between_two_queries_are_counted() {
    let scene = Scene::start();
    scene.containerd.import(&images(0..5));
    scene.assert_counts(5);
    let [gone, ..] = &images(0..1)[..] else {
        panic!("not one image");
    };
    let listed = scene.containerd.images().expect("containerd answers");
    let id = listed.iter().find(|image| {
        let mut tags = image.repo_tags.iter();
        tags.any(|tag| *tag == gone.name)
    });
    let id = id.expect("the image was imported").id.clone();
    scene.containerd.remove_name(&gone.name);
    scene.containerd.remove_name(&id);
    scene.containerd.wait_for_images(4);
    scene.assert_counts(4);
    scene.containerd.import(&images(5..8));
    scene.assert_counts(7);
}

#[test]
fn an_image_whose_tag_is_removed_stays_and_is_untagged() {
    let scene = Scene::start();
    let images = images(0..3);
    scene.containerd.import(&images);
    scene.assert_counts(3);
    scene.containerd.remove_name(&images[1].name);
    eventually("an untagged image", || {
        let listed = scene.containerd.images().ok()?;
        let untagged = listed.iter().filter(|image| image.repo_tags.is_empty());
        (untagged.count() == 1).then_some(())
    });
    scene.assert_counts(3);
    let untagged = number(&scene.service.scrape(), "imagestore_untagged_images");
    assert_eq!(untagged, Some(1.0));
}

#[test]
fn images_are_counted_not_their_names() {
    let scene = Scene::start();
    scene.containerd.import(&images(0..3));
    scene.assert_counts(3);
    assert!(scene.containerd.ctr_names() > 3);
}

/// The import into the other namespace ends before the one that is waited for begins.
#[test]
fn images_of_other_namespaces_are_not_counted() {
    let scene = Scene::start();
    scene.containerd.import_elsewhere(&images(0..2));
    scene.containerd.import(&images(2..3));
    scene.assert_counts(1);
}

#[test]
fn an_image_whose_configuration_is_lost_is_counted_until_containerd_starts_again() {
    let mut scene = Scene::start();
    let images = images(0..3);
    scene.containerd.import(&images);
    scene.containerd.lose_config_of(&images[0]);
    let counted = |scene: &Scene| number(&scene.ask().scrape, "imagestore_images");
    assert_eq!(counted(&scene), Some(3.0));
    scene.containerd.stop();
    scene.containerd.launch(Setup::Plain);
    scene.containerd.wait_until_ready();
    assert_eq!(counted(&scene), Some(2.0));
}

#[test]
fn a_layer_that_images_share_counts_for_each_of_them_and_compressed() {
    let scene = Scene::start();
    scene.containerd.import(&images(0..2));
    let size = || number(&scene.ask().scrape, "imagestore_images_size_bytes").expect("it answers");
    let before = size();
    let layer = Layer::of_zeros(10_000_000);
    let images = images(2..4).into_iter();
    let images: Vec<OciImage> = images.map(|image| image.with(&layer)).collect();
    scene.containerd.import(&images);
    let added = size() - before;
    assert!(added > 2.0 * layer.compressed.len() as f64, "{added}");
    assert!(added < 100_000.0, "{added}");
}

#[test]
fn the_file_system_for_images_is_reported() {
    let scene = Scene::start();
    let scrape = scene.ask().scrape;
    let mut filesystems = scrape.samples("imagestore_filesystem_used_bytes");
    let mountpoint = &filesystems.next().expect("there is one").labels["mountpoint"];
    assert!(mountpoint.contains("snapshotter"), "{mountpoint}");
}

#[test]
fn a_containerd_before_2_4_is_asked_for_the_stream_only_once() {
    let scene = Scene::start();
    let stream = "runtime.v1.ImageService/StreamImages";
    let asked = |trace: &Trace, method| trace.spans_named(method).len();
    let (first, second) = (scene.ask().trace, scene.ask().trace);
    assert_eq!(
        [asked(&first, LIST_IMAGES), asked(&second, LIST_IMAGES)],
        [1, 1]
    );
    assert_eq!(asked(&second, stream), 0, "{}", second.render());
    assert_eq!(asked(&first, stream), 1, "{}", first.render());
}

#[test]
fn a_stopped_containerd_is_unavailable_and_counted_again_once_it_runs() {
    let mut scene = Scene::start();
    scene.containerd.import(&images(0..3));
    scene.assert_counts(3);
    scene.containerd.stop();
    assert!(!scene.containerd.socket().exists());
    scene.assert_fails("UNAVAILABLE", "No such file or directory");
    scene.containerd.launch(Setup::Plain);
    scene.containerd.wait_until_ready();
    scene.assert_counts(3);
}

#[test]
fn a_killed_containerd_leaves_a_stale_socket_and_is_unavailable() {
    let mut scene = Scene::start();
    scene.assert_counts(0);
    scene.containerd.kill();
    assert!(scene.containerd.socket().exists());
    scene.assert_fails("UNAVAILABLE", "Connection refused");
}

#[test]
fn a_containerd_that_hangs_exceeds_the_deadline() {
    let scene = Scene::with(Containerd::start(), |builder| {
        builder.arg("--deadline").arg("5s")
    });
    // On a busy machine even a good answer may take longer.
    let wait_for_an_answer = || {
        eventually("an answer within the deadline", || {
            (number(&scene.ask().scrape, "imagestore_up") == Some(1.0)).then_some(())
        });
    };
    wait_for_an_answer();
    scene.containerd.freeze();
    scene.assert_fails("DEADLINE_EXCEEDED", "no complete answer within 5s");
    scene.containerd.thaw();
    wait_for_an_answer();
}

#[test]
fn a_containerd_without_its_cri_plugin_is_unimplemented_and_the_error_names_the_plugin() {
    let mut containerd = Containerd::prepare();
    containerd.launch(Setup::WithoutCri);
    containerd.wait_for_failure(UNIMPLEMENTED);
    let scene = Scene::of(containerd);
    scene.assert_fails("UNIMPLEMENTED", "its CRI plugin may be disabled");
}

#[test]
fn a_list_longer_than_containerds_message_limit_is_resource_exhausted() {
    let mut scene = Scene::start();
    scene.containerd.import(&images(0..100));
    scene.assert_counts(100);
    scene.containerd.stop();
    scene.containerd.launch(Setup::SendsAtMost(4096));
    scene.containerd.wait_for_failure(RESOURCE_EXHAUSTED);
    scene.assert_fails("RESOURCE_EXHAUSTED", "larger than max");
}

#[test]
fn a_containerd_that_still_loads_its_store_is_reported_as_not_ready() {
    const NOT_READY: &str =
        "the runtime is starting and not ready yet: server is not initialized yet";
    let images = images(0..3);
    let mut scene = Scene::start();
    scene.containerd.import(&images);
    scene.containerd.stop();
    scene.containerd.block_at(&images[0]);
    scene.containerd.launch(Setup::Plain);
    eventually("an unfinished start", || {
        scene.ask().status.contains(NOT_READY).then_some(())
    });
    let _writer = scene.containerd.unblock(&images[0]);
    let answer = eventually("an answer", || {
        let scrape = scene.ask().scrape;
        (number(&scrape, "imagestore_up") == Some(1.0)).then_some(scrape)
    });
    assert_eq!(number(&answer, "imagestore_images"), Some(2.0));
    assert_eq!(
        answer.sum("imagestore_query_failures_total"),
        Some(failures(&answer, "UNAVAILABLE"))
    );
}

#[test]
fn a_member_of_the_group_of_containerds_socket_may_query_it() {
    let mut containerd = Containerd::prepare();
    containerd.make_folder_public();
    containerd.launch(Setup::SocketOfGroup(GROUP));
    containerd.wait_until_ready();
    let program = PublicProgram::copy_of(env!("CARGO_BIN_EXE_exp-rkt-grpc"));
    let url = containerd.url();
    let query_as = |identity: [&str; 3]| {
        let program = program.path().to_str().expect("the path is UTF-8");
        let query = [program, "query", "--store", url.as_str()];
        let environment = [("OTEL_TRACES_EXPORTER", "none")];
        run("setpriv", identity.iter().chain(&query), &environment)
    };
    assert_eq!(query_as(MEMBER).status.code(), Some(0));
    assert_eq!(query_as(POWERLESS_ROOT).status.code(), Some(0));
    let refused = query_as(NOBODY);
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8_lossy(&refused.stdout);
    assert!(text.contains("no permission to connect"), "{text}");
}
