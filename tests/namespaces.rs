//! The kind `containerd`: several namespaces of Debian's containerd and of containerd 2.4 are counted by containerd's own API. Needs
//! root. The stand-in is for what a real one cannot do: very many names, and side calls that fail.

use std::collections::BTreeSet;

use lab::containerd::{Containerd, OciImage, Release};
use lab::exposition::Scrape;
use lab::jaeger_agent::{JaegerAgent, Trace};
use lab::service::{Builder, PATIENCE, Service};

#[path = "namespaces/failures.rs"]
mod failures;
#[path = "namespaces/kept.rs"]
mod kept;
#[path = "namespaces/missing.rs"]
mod missing;
#[path = "namespaces/names.rs"]
mod names;
#[path = "namespaces/numbers.rs"]
mod numbers;
#[path = "namespaces/side_calls.rs"]
mod side_calls;
#[path = "namespaces/stand_in.rs"]
mod stand_in;

const LIST_IMAGES: &str = "containerd.services.images.v1.Images/List";
const STREAM_CONTAINERS: &str = "containerd.services.containers.v1.Containers/ListStream";
const LIST_NAMESPACES: &str = "containerd.services.namespaces.v1.Namespaces/List";
const VERSION: &str = "containerd.services.version.v1.Version/Version";

const PROGRAM: &str = env!("CARGO_BIN_EXE_exp-rkt-grpc");

/// A containerd, a service that queries some of its namespaces, and the agent that receives the traces.
struct Scene {
    containerd: Containerd,
    /// Each is also the name of its store.
    namespaces: &'static [&'static str],
    service: Service,
    agent: JaegerAgent,
}

impl Scene {
    fn start(release: Release, namespaces: &'static [&'static str]) -> Self {
        Self::with(Containerd::start_of(release), namespaces, |builder| builder)
    }

    fn with(
        containerd: Containerd,
        namespaces: &'static [&'static str],
        configure: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let agent = JaegerAgent::bind();
        let builder = Service::builder(PROGRAM)
            .env("OTEL_EXPORTER_JAEGER_AGENT_PORT", agent.port().to_string());
        let builder = namespaces.iter().fold(builder, |builder, namespace| {
            builder.store(format!("{namespace}={}", url(&containerd, namespace)))
        });
        Self {
            service: configure(builder).start(),
            containerd,
            namespaces,
            agent,
        }
    }

    /// Runs a query. Returns the status, the scrape and the trace.
    #[track_caller]
    fn ask(&self) -> (String, Scrape, Trace) {
        let status = self.service.query();
        (
            status,
            self.service.scrape(),
            self.agent.next_trace(PATIENCE),
        )
    }

    /// Runs a query, whose numbers are those of `ctr` and of a generated client, in each namespace.
    #[track_caller]
    fn assert_counts(&self) -> Scrape {
        let (_, scrape, _) = self.ask();
        for namespace in self.namespaces {
            assert_counted(&self.containerd, namespace, &scrape);
        }
        scrape
    }
}

/// The value for `--store`.
fn url(containerd: &Containerd, namespace: &str) -> String {
    let socket = containerd.socket().display();
    format!("containerd+unix://{socket}?namespace={namespace}")
}

fn number(scrape: &Scrape, store: &str, name: &str) -> Option<f64> {
    scrape.value(name, &[("store", store)])
}

/// Images, names and images without a tag.
fn counts(scrape: &Scrape, store: &str) -> [Option<f64>; 3] {
    [
        "imagestore_images",
        "imagestore_image_names",
        "imagestore_untagged_images",
    ]
    .map(|name| number(scrape, store, name))
}

/// The images of a store by registry, in the order of the exposition.
fn registries(scrape: &Scrape, store: &str) -> Vec<(String, f64)> {
    let samples = scrape.samples("imagestore_registry_images");
    let samples = samples.filter(|sample| sample.has(&[("store", store)]));
    samples
        .map(|sample| (sample.labels["registry"].clone(), sample.value))
        .collect()
}

/// Asserts that the numbers of a namespace are those of `ctr` and of a generated client.
#[track_caller]
fn assert_counted(containerd: &Containerd, namespace: &str, scrape: &Scrape) {
    let printed = containerd.ctr_digests(namespace);
    let names = containerd.ctr_in(namespace, &["images", "ls", "-q"]);
    assert_eq!(printed.len(), names.lines().count());
    let images: BTreeSet<&String> = printed.values().collect();
    let listed = containerd.images_in(namespace);
    let created = listed.iter().filter_map(|image| image.created_at);
    let created: BTreeSet<i64> = created.map(|time| time.seconds).collect();
    let expected = [
        ("up", Some(1.0)),
        ("images", Some(images.len() as f64)),
        ("image_names", Some(printed.len() as f64)),
        (
            "oldest_image_timestamp_seconds",
            created.first().map(|&time| time as f64),
        ),
        (
            "newest_image_timestamp_seconds",
            created.last().map(|&time| time as f64),
        ),
        ("images_size_bytes", None),
        ("largest_image_size_bytes", None),
        ("pinned_images", None),
    ];
    for (name, expected) in expected {
        let name = format!("imagestore_{name}");
        assert_eq!(
            number(scrape, namespace, &name),
            expected,
            "{namespace} {name}"
        );
    }
    let counted: f64 = registries(scrape, namespace)
        .iter()
        .map(|(_, count)| count)
        .sum();
    assert_eq!(counted, images.len() as f64, "{namespace}");
}

/// Images with these names, all different.
fn images(names: &[&str]) -> Vec<OciImage> {
    names.iter().copied().map(OciImage::named).collect()
}
