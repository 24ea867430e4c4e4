//! Debian's Prometheus scrapes the service and answers queries in PromQL.

use lab::jaeger::Jaeger;
use lab::prometheus::Prometheus;
use lab::rkt_api_service::{Images, StandIn};
use lab::service::Service;

#[test]
fn prometheus_learns_of_a_failure_and_keeps_the_last_count() {
    let stand_in = StandIn::tcp(Images::generated(17));
    let service = service(&stand_in);
    assert!(service.query().contains("17 images"));
    stand_in.stop();
    assert!(service.query().contains("query failed"));
    let prometheus = Prometheus::scraping(service.address());
    prometheus.wait_for("imagestore_up{store='rkt'}", "0");
    prometheus.wait_for("imagestore_images{store='rkt'}", "17");
    prometheus.wait_for("imagestore_query_failures_total{code='UNAVAILABLE'}", "1");
}

#[test]
fn prometheus_learns_the_count_and_that_the_service_is_up() {
    let stand_in = StandIn::tcp(Images::generated(17));
    let service = service(&stand_in);
    let prometheus = Prometheus::scraping(service.address());
    prometheus.wait_for("up{job='service'}", "1");
    assert!(service.query().contains("17 images"));
    prometheus.wait_for("imagestore_images{store='rkt'}", "17");
    prometheus.wait_for("imagestore_query_duration_seconds_count", "1");
    let size = Images::generated(17).totals().size_bytes;
    prometheus.wait_for("imagestore_images_size_bytes", &size.to_string());
}

/// Prometheus has units and exemplars only from OpenMetrics.
#[test]
fn an_exemplar_in_prometheus_leads_to_a_trace_in_jaeger() {
    const FAMILY: &str = "imagestore_query_duration_seconds";
    let Some(jaeger) = Jaeger::start() else {
        return;
    };
    let stand_in = StandIn::tcp(Images::generated(17));
    let service = Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
        .store(stand_in.url())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", jaeger.otlp_endpoint())
        .start();
    assert!(service.query().contains("17 images"));
    let prometheus = Prometheus::scraping(service.address());
    prometheus.wait_for_data(&format!("metadata?metric={FAMILY}"), |data| {
        (data[FAMILY][0]["unit"] == "seconds").then_some(())
    });
    let request = format!("query_exemplars?query={FAMILY}_bucket&start=0&end=9999999999");
    let exemplar = prometheus.wait_for_data(&request, |data| {
        let exemplar = &data[0]["exemplars"][0];
        exemplar["labels"]["trace_id"].as_str().map(str::to_owned)
    });
    let trace = jaeger.api().trace(&exemplar, "exp-rkt-grpc", 4);
    assert_eq!(trace.root().operation, "imagestore query");
}

fn service(stand_in: &StandIn) -> Service {
    Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
        .store(stand_in.url())
        .env("OTEL_TRACES_EXPORTER", "none")
        .start()
}
