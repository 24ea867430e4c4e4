//! Debian's Prometheus and Prometheus 3 scrape the service and answer queries in PromQL.

use lab::jaeger::Jaeger;
use lab::jaeger_agent::JaegerAgent;
use lab::poll::eventually;
use lab::prometheus::{Prometheus, Release};
use lab::rkt_api_service::{Images, StandIn};
use lab::service::{Builder, ReservedPort, Service};

#[path = "prometheus/formats.rs"]
mod formats;
#[path = "prometheus/relay.rs"]
mod relay;
#[path = "prometheus/unix_socket.rs"]
mod unix_socket;

lab::with_both! {
    v3:
    an_exemplar_in_prometheus_leads_to_a_trace_in_jaeger,
    prometheus_learns_of_a_failure_and_keeps_the_last_count,
    prometheus_learns_the_count_and_that_the_service_is_up,
    prometheus_logs_nothing_about_scrapes_with_exemplars,
}

fn prometheus_learns_of_a_failure_and_keeps_the_last_count(release: Release) {
    let stand_in = StandIn::tcp(Images::generated(17));
    let service = service(&stand_in);
    assert!(service.query().contains("17 images"));
    stand_in.stop();
    assert!(service.query().contains("query failed"));
    let prometheus = Prometheus::scraping(release, service.address());
    prometheus.wait_for("imagestore_up{store='rkt'}", "0");
    prometheus.wait_for("imagestore_images{store='rkt'}", "17");
    prometheus.wait_for("imagestore_query_failures_total{code='UNAVAILABLE'}", "1");
}

fn prometheus_learns_the_count_and_that_the_service_is_up(release: Release) {
    let stand_in = StandIn::tcp(Images::generated(17));
    let service = service(&stand_in);
    let prometheus = Prometheus::scraping(release, service.address());
    prometheus.wait_for("up{job='service'}", "1");
    assert!(service.query().contains("17 images"));
    prometheus.wait_for("imagestore_images{store='rkt'}", "17");
    prometheus.wait_for("imagestore_query_duration_seconds_count", "1");
    let size = Images::generated(17).totals().size_bytes;
    prometheus.wait_for("imagestore_images_size_bytes", &size.to_string());
}

/// Prometheus has units and exemplars only from OpenMetrics.
fn an_exemplar_in_prometheus_leads_to_a_trace_in_jaeger(release: Release) {
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
    let prometheus = Prometheus::scraping(release, service.address());
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

/// Prometheus logs what is wrong with a scrape, such as an exemplar that is out of order, as a warning or at the level debug.
fn prometheus_logs_nothing_about_scrapes_with_exemplars(release: Release) {
    let stand_in = StandIn::tcp(Images::generated(17));
    let agent = JaegerAgent::bind();
    let service = Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
        .store(stand_in.url())
        .env("OTEL_EXPORTER_JAEGER_AGENT_PORT", agent.port().to_string())
        .start();
    let nobody = ReservedPort::reserve();
    let prometheus = Prometheus::builder(release)
        .job("service", &[service.address()], &[])
        .job("gone", &[nobody.address()], &[])
        .start();
    for queries in ["1", "2", "3"] {
        assert!(service.query().contains("17 images"));
        prometheus.wait_for("imagestore_queries_total", queries);
    }
    // A scrape may take longer than a second while the machine is busy.
    let logged = |job: &str| {
        let log = prometheus.log();
        let of_job = format!("scrape_pool={job} ");
        let mut lines = log.lines().filter(|line| line.contains(&of_job));
        lines.any(|line| !line.contains("deadline exceeded"))
    };
    eventually("a failed scrape in the log", || {
        logged("gone").then_some(())
    });
    assert!(!logged("service"), "{}", prometheus.log());
}

fn builder(stand_in: &StandIn) -> Builder {
    Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
        .store(stand_in.url())
        .env("OTEL_TRACES_EXPORTER", "none")
}

fn service(stand_in: &StandIn) -> Service {
    builder(stand_in).start()
}
