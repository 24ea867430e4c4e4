//! Debian's containerd and containerd 2.4: their images are counted, their failures reported, and the last good numbers kept. Needs
//! root.

use std::mem;

use lab::containerd::{Containerd, OciImage, Release, Setup};
use lab::exposition::Scrape;
use lab::jaeger_agent::{JaegerAgent, Trace};
use lab::service::{Builder, PATIENCE, Service};

#[path = "containerd/containers.rs"]
mod containers;
#[path = "containerd/failures.rs"]
mod failures;
#[path = "containerd/numbers.rs"]
mod numbers;
#[path = "containerd/replaced.rs"]
mod replaced;
#[path = "containerd/spans.rs"]
mod spans;
#[path = "containerd/stream.rs"]
mod stream;
#[path = "containerd/unused.rs"]
mod unused;

const LIST_IMAGES: &str = "runtime.v1.ImageService/ListImages";
const STREAM_IMAGES: &str = "runtime.v1.ImageService/StreamImages";

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
    fn start(release: Release) -> Self {
        Self::of(Containerd::start_of(release))
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

    /// Replaces the containerd, which is returned, by one that serves the same socket. The service runs on.
    #[track_caller]
    fn replace_by(&mut self, successor: Containerd, setup: Setup) -> Containerd {
        self.containerd.stop();
        let successor = successor.at(self.containerd.socket().to_owned());
        let predecessor = mem::replace(&mut self.containerd, successor);
        self.containerd.launch(setup);
        predecessor
    }

    /// Runs a query, which fails with this code and these words in metrics, trace and log. Returns the trace.
    #[track_caller]
    fn assert_fails(&self, code: &str, words: &str) -> Trace {
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
        trace
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
        assert_eq!(
            number(&scrape, "imagestore_largest_image_size_bytes"),
            listed
                .iter()
                .map(|image| image.size as f64)
                .reduce(f64::max)
        );
        for edge in ["oldest", "newest"] {
            // CRI does not have import times.
            let name = format!("imagestore_{edge}_image_timestamp_seconds");
            assert_eq!(number(&scrape, &name), None, "{name}");
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

/// The version of the only runtime that is reported.
#[track_caller]
fn version(scrape: &Scrape) -> String {
    let infos: Vec<_> = scrape.samples("imagestore_runtime_info").collect();
    let [info] = &infos[..] else {
        panic!("not one runtime: {infos:?}");
    };
    assert_eq!(info.labels["runtime"], "containerd");
    assert_eq!(info.labels["api_version"], "v1");
    info.labels["version"].clone()
}

/// Asserts which of the two methods that list images were called, and how often.
#[track_caller]
fn assert_asked(trace: &Trace, streams: usize, lists: usize) {
    let asked = [STREAM_IMAGES, LIST_IMAGES].map(|method| trace.spans_named(method).len());
    assert_eq!(asked, [streams, lists], "{}", trace.render());
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
