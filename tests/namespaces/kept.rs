//! A restart keeps the numbers of each namespace apart.

use exp_rkt_grpc::config;
use exp_rkt_grpc::images::ImageStore;
use exp_rkt_grpc::metrics::{Coding, Format, Metrics};
use exp_rkt_grpc::observe::{Observer, Trigger};
use lab::containerd::{Containerd, Release};
use lab::exposition::Scrape;
use lab::service::PATIENCE;
use tokio::runtime;
use tokio_util::sync::CancellationToken;

use super::{counts, images, url};

lab::with_both! {
    v2_4:
    a_store_that_is_renamed_at_a_restart_keeps_the_numbers_of_its_namespace,
}

/// A process with these stores: name and namespace.
fn process(containerd: &Containerd, stores: [(&str, &str); 2]) -> (Metrics, Observer) {
    let metrics = Metrics::new("0", "").expect("the metric names are valid");
    let stores = stores.map(|(name, namespace)| {
        let config = config::store(&format!("{name}={}", url(containerd, namespace)));
        ImageStore::new(&config.expect("the URL is valid"))
    });
    let observer = Observer::new(stores.into(), metrics.clone(), PATIENCE);
    (metrics, observer)
}

fn scrape(metrics: &Metrics) -> Scrape {
    let text = metrics.encode(Format::Text, Coding::Identity);
    let text = text.expect("the metrics can be encoded");
    let text = String::from_utf8(text).expect("the exposition is UTF-8");
    Scrape::parse(&text).expect("the exposition is valid")
}

fn a_store_that_is_renamed_at_a_restart_keeps_the_numbers_of_its_namespace(release: Release) {
    let containerd = Containerd::start_of(release);
    containerd.import_into("moby", &images(&["quay.io/a:1", "quay.io/b:1"]));
    containerd.import_into("default", &images(&["quay.io/c:1"]));
    let (metrics, mut observer) = process(&containerd, [("a", "moby"), ("b", "default")]);
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime needs a few file descriptors");
    runtime.block_on(observer.observe(Trigger::Signal, CancellationToken::new()));
    let before = scrape(&metrics);
    assert_eq!(counts(&before, "a")[0], Some(2.0));
    assert_eq!(counts(&before, "b")[0], Some(1.0));

    let record = observer.kept().record();
    let (metrics, observer) = process(&containerd, [("b", "moby"), ("c", "k8s.io")]);
    let dropped = observer.kept().restore(&record);
    let dropped = dropped.expect("the record has this version");
    assert_eq!(dropped, [url(&containerd, "default")]);
    let after = scrape(&metrics);
    assert_eq!(counts(&after, "b"), counts(&before, "a"));
    assert_eq!(counts(&after, "c"), [None; 3]);
}
