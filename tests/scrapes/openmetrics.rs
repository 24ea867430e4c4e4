//! OpenMetrics, exemplars and gzip.

use std::time::{SystemTime, UNIX_EPOCH};

use lab::jaeger_agent::JaegerAgent;
use lab::peers::{self, Peer};
use lab::service::http::PROMETHEUS;
use lab::service::run;
use lab::tempdir;
use serde_json::Value;

use super::*;

const OPENMETRICS: [(&str, &str); 1] = [PROMETHEUS[0]];

const COMPARE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/peers/prometheus-client/compare.py"
);

#[track_caller]
fn get(service: &Service, headers: &[(&str, &str)]) -> Response {
    let response = connect(service).request("GET", "/metrics", headers);
    response.expect("it is answered")
}

/// The exemplars of a scrape in OpenMetrics, which must have the samples of one in the text format, compressed or not. `None` if the
/// reference parser cannot be had.
#[track_caller]
fn exemplars(service: &Service) -> Option<Vec<Value>> {
    let client = peers::folder(Peer::PrometheusClient)?;
    let client = client.to_str().expect("the path is UTF-8");
    // From now on, the counters of requests have all their series.
    service.get("/metrics");
    let folder = tempdir().expect("a temporary folder can be made");
    let compared = [&[], &PROMETHEUS[1..]].map(|coding| {
        let files = [("openmetrics", &PROMETHEUS[..1]), ("text", &[])].map(|(name, format)| {
            let path = folder.path().join(name);
            let response = get(service, &[format, coding].concat());
            fs::write(&path, &response.body).expect("there is room");
            path.display().to_string()
        });
        let [openmetrics, text] = &files;
        let output = run(
            "python3",
            [COMPARE, openmetrics, text],
            &[("PYTHONPATH", client)],
        );
        let differences = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{coding:?}: {differences}");
        serde_json::from_slice::<Vec<Value>>(&output.stdout).expect("it prints JSON")
    });
    let [plain, compressed] = compared;
    assert_eq!(plain, compressed);
    Some(plain)
}

#[test]
fn openmetrics_has_the_samples_of_the_text_format_whatever_stores_say() {
    let (_folder, runtime) = format::runtime("con\"tai\\ner\nd");
    let unreachable = ReservedPort::reserve();
    let service = service()
        .store(runtime.url())
        .store(format!("rkt+http://{}", unreachable.address()))
        .start();
    if exemplars(&service).is_none() {
        return;
    }
    assert!(service.query().contains("cri: 4 images"));
    assert_eq!(exemplars(&service), Some(Vec::new()));
}

/// All three queries end in the same bucket, unless the machine is busy.
#[test]
fn the_exemplar_of_a_bucket_is_its_last_query_with_a_sampled_trace() {
    let (store, agent) = (StandIn::tcp(Images::generated(3)), JaegerAgent::bind());
    let service = Service::builder(PROGRAM)
        .env("OTEL_EXPORTER_JAEGER_AGENT_PORT", agent.port().to_string())
        .store(store.url())
        .start();
    let mut last: BTreeMap<u64, String> = BTreeMap::new();
    for behaviour in [Behaviour::Answer, Behaviour::CutOff, Behaviour::Answer] {
        store.behave(behaviour);
        let before = service.scrape();
        let began = now();
        service.query();
        let trace = agent.next_trace(PATIENCE).id_hex();
        let bucket = new_bucket(&before, &service.scrape());
        last.insert(bucket.to_bits(), trace);
        let Some(exemplars) = exemplars(&service) else {
            return;
        };
        let found = exemplars.iter().map(|exemplar| {
            assert_eq!(exemplar["store"], "rkt");
            let number = |name: &str| exemplar[name].as_f64().expect("it is a number");
            let bound = exemplar["le"].as_str().and_then(|bound| bound.parse().ok());
            let bound: f64 = bound.expect("it is the exemplar of a bucket");
            assert!(number("value") <= bound, "{exemplar}");
            let trace = exemplar["trace_id"].as_str().unwrap_or_default();
            if trace == last[&bound.to_bits()] && bound == bucket {
                // In milliseconds.
                assert!(
                    (began - 0.001..=now()).contains(&number("at")),
                    "{exemplar}"
                );
            }
            (bound.to_bits(), trace.to_owned())
        });
        assert_eq!(found.collect::<BTreeMap<_, _>>(), last);
    }
}

/// In seconds since the epoch.
fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("the clock is past 1970").as_secs_f64()
}

/// The upper bound of the bucket that counts one query more.
fn new_bucket(before: &Scrape, after: &Scrape) -> f64 {
    let bucket = "imagestore_query_duration_seconds_bucket";
    let counts = |scrape: &Scrape| -> BTreeMap<String, f64> {
        let samples = scrape.samples(bucket);
        samples
            .map(|sample| (sample.labels["le"].clone(), sample.value))
            .collect()
    };
    let before = counts(before);
    let more = counts(after)
        .into_iter()
        .filter(|(bound, count)| before.get(bound).copied().unwrap_or_default() < *count);
    let bounds = more.map(|(bound, _)| bound.parse::<f64>().expect("it is a number"));
    bounds.min_by(f64::total_cmp).expect("a query has ended")
}

#[test]
fn a_trace_that_is_not_sampled_is_not_an_exemplar() {
    let (store, agent) = (StandIn::tcp(Images::generated(3)), JaegerAgent::bind());
    let service = Service::builder(PROGRAM)
        .env("OTEL_EXPORTER_JAEGER_AGENT_PORT", agent.port().to_string())
        .env("OTEL_TRACES_SAMPLER", "always_off")
        .store(store.url())
        .start();
    service.query();
    let openmetrics = get(&service, &OPENMETRICS);
    assert!(!openmetrics.text().contains("trace_id"));
}

#[test]
fn the_content_type_is_that_of_the_format_and_caches_are_told_what_it_depends_on() {
    let service = service().start();
    for (headers, content_type, coding) in [
        (
            &PROMETHEUS[..],
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Some("gzip"),
        ),
        (
            &OPENMETRICS[..],
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            None,
        ),
        (
            &PROMETHEUS[1..],
            "text/plain; version=0.0.4; charset=utf-8",
            Some("gzip"),
        ),
        (&[], "text/plain; version=0.0.4; charset=utf-8", None),
    ] {
        let response = get(&service, headers);
        assert_eq!(response.header("content-type"), Some(content_type));
        assert_eq!(response.header("content-encoding"), coding);
        assert_eq!(response.header("vary"), Some("accept, accept-encoding"));
        let head = connect(&service).request("HEAD", "/metrics", headers);
        let head = head.expect("it is answered");
        assert_eq!(head.header("content-type"), Some(content_type));
        assert_eq!(head.header("content-encoding"), coding);
    }
}

#[test]
fn gzip_reads_a_compressed_scrape_although_parts_of_it_are_only_stored() {
    let service = service().start();
    service.get("/metrics");
    let folder = tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("scrape.gz");
    let response = get(&service, &PROMETHEUS[1..]);
    fs::write(&path, &response.body).expect("there is room");
    let output = run("gzip", ["-dc", &path.display().to_string()], &[]);
    assert!(output.status.success(), "{output:?}");
    assert!(response.body.len() * 4 < output.stdout.len() * 3);
    let text = String::from_utf8(output.stdout).expect("it is UTF-8");
    let scrape = Scrape::parse(&text).expect("it is the text format");
    assert_eq!(scrape.names(), service.scrape().names());
}
