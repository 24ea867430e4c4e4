//! Every test and file that SECURITY.md names exists, and its list of labels is that of a scrape.

use std::{collections::BTreeSet, fs, path::Path};

use lab::cri_runtime::{self, filesystem};
use lab::jaeger_agent::JaegerAgent;
use lab::rkt_api_service;
use lab::service::Service;
use lab::service::http::{Connection, PROMETHEUS};
use lab::tempdir;

const SECURITY: &str = include_str!("../SECURITY.md");

/// The texts between backquotes.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn is_test_name(word: &str) -> bool {
    let letters = word
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    // Names that end in `_total` are counters.
    letters && word.matches('_').count() > 2 && !word.ends_with("_total")
}

#[test]
fn every_file_and_test_that_security_md_names_exists() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files: BTreeSet<&str> = code(SECURITY)
        .filter(|word| word.ends_with(".rs") || word.starts_with("tests/"))
        .collect();
    let sources = files.iter().map(|file| {
        fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    });
    let sources: String = sources.collect();
    let names: Vec<&str> = code(SECURITY).filter(|word| is_test_name(word)).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(
            sources.contains(&format!("fn {name}(")),
            "no named file has the test {name}"
        );
    }
}

#[test]
fn a_scrape_has_exactly_the_labels_that_security_md_lists() {
    let folder = tempdir().expect("a temporary folder can be made");
    let images = cri_runtime::Images::generated(3);
    let cri = cri_runtime::StandIn::unix(&folder.path().join("cri.sock"), images);
    let cri = cri.expect("a socket can be bound there");
    cri.serve_filesystems(vec![filesystem("/var/lib/images", 1, 1)]);
    let rkt = rkt_api_service::StandIn::tcp(rkt_api_service::Images::generated(3));
    let agent = JaegerAgent::bind();
    let service = Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
        .env("OTEL_EXPORTER_JAEGER_AGENT_PORT", agent.port().to_string())
        .store(rkt.url())
        .store(cri.url())
        .start();
    service.query();
    // Requests are counted from the first one on.
    service.scrape();
    let scrape = service.scrape();
    let samples = scrape.families.iter().flat_map(|family| &family.samples);
    let labels = samples.flat_map(|sample| sample.labels.keys());
    let found: BTreeSet<&str> = labels.map(String::as_str).collect();

    let text = SECURITY.replace('\n', " ");
    let (_, list) = text
        .split_once("The labels are ")
        .expect("SECURITY.md lists the labels");
    let (list, _) = list.split_once(". ").expect("the sentence ends");
    assert_eq!(code(list).collect::<BTreeSet<_>>(), found);

    let mut connection = Connection::open(service.endpoint()).expect("the service listens");
    let openmetrics = connection.request("GET", "/metrics", &PROMETHEUS[..1]);
    let openmetrics = openmetrics.expect("it is answered");
    let exemplars = openmetrics.text().split(" # {").skip(1);
    let labels = exemplars.filter_map(|exemplar| exemplar.split("=\"").next());
    assert_eq!(
        labels.collect::<BTreeSet<_>>(),
        BTreeSet::from(["trace_id"])
    );
    assert!(text.contains("exemplars also have `trace_id`"));
}
