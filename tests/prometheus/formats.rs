//! The formats that Prometheus 3 can ask for, and what it makes of the answers.

use lab::prometheus::{Prometheus, Release};
use lab::rkt_api_service::{Images, StandIn};
use serde_json::json;

use super::relay::Relay;
use super::service;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

const DURATION: &str = "imagestore_query_duration_seconds";

/// Each of them ends with `*/*`, so there is an answer to all. No `fallback_scrape_protocol` is needed.
#[test]
fn whatever_prometheus_3_asks_for_alone_it_reads_the_answer() {
    let Some(release) = Release::v3() else {
        return;
    };
    let stand_in = StandIn::tcp(Images::generated(17));
    let service = service(&stand_in);
    assert!(service.query().contains("17 images"));
    let expected = [
        (
            "OpenMetricsText1.0.0",
            "openmetrics-text;version=1.0.0",
            OPENMETRICS,
        ),
        (
            "OpenMetricsText0.0.1",
            "openmetrics-text;version=0.0.1",
            TEXT,
        ),
        ("PrometheusText1.0.0", "text/plain;version=1.0.0", TEXT),
        ("PrometheusText0.0.4", "text/plain;version=0.0.4", TEXT),
        ("PrometheusProto", "vnd.google.protobuf", TEXT),
    ];
    let relays = expected.map(|_| Relay::to(service.address()));
    let mut builder = Prometheus::builder(release);
    for ((protocol, ..), relay) in expected.iter().zip(&relays) {
        builder = builder.scrape(json!({
            "job_name": protocol,
            "scrape_protocols": [protocol],
            "static_configs": [{"targets": [relay.address()]}],
        }));
    }
    let prometheus = builder.start();
    for ((protocol, asked, answered), relay) in expected.iter().zip(&relays) {
        prometheus.wait_for(&format!("imagestore_images{{job='{protocol}'}}"), "17");
        // Prometheus 3 writes bounds with a point, whatever the format.
        let bucket = format!("{DURATION}_bucket{{job='{protocol}',le='60.0'}}");
        prometheus.wait_for(&bucket, "1");
        let exchange = relay.first();
        let accept = exchange.asked("accept");
        let (first, rest) = accept.split_once(',').expect("there are two");
        assert!(first.contains(asked), "{accept}");
        assert!(rest.starts_with("*/*"), "{accept}");
        assert_eq!(exchange.answered("content-type"), *answered, "{protocol}");
        assert_eq!(exchange.answered("content-encoding"), "gzip", "{protocol}");
    }
}

/// With native histograms, Prometheus asks for protobuf first. The histogram is a classic one nevertheless, with its buckets; Prometheus can
/// convert it.
#[test]
fn prometheus_3_with_native_histograms_gets_openmetrics() {
    let Some(release) = Release::v3() else {
        return;
    };
    let stand_in = StandIn::tcp(Images::generated(17));
    let service = service(&stand_in);
    assert!(service.query().contains("17 images"));
    let relay = Relay::to(service.address());
    let prometheus = Prometheus::builder(release)
        .scrape(json!({
            "job_name": "native",
            "scrape_native_histograms": true,
            "static_configs": [{"targets": [relay.address()]}],
        }))
        .scrape(json!({
            "job_name": "converted",
            "scrape_native_histograms": true,
            "convert_classic_histograms_to_nhcb": true,
            "static_configs": [{"targets": [service.address()]}],
        }))
        .start();
    prometheus.wait_for(&format!("{DURATION}_bucket{{job='native',le='+Inf'}}"), "1");
    let exchange = relay.first();
    let accept = exchange.asked("accept");
    assert!(
        accept.starts_with("application/vnd.google.protobuf"),
        "{accept}"
    );
    assert_eq!(exchange.answered("content-type"), OPENMETRICS);
    let count = format!("histogram_count({DURATION}{{job='converted'}})");
    prometheus.wait_for(&count, "1");
}
