//! Debian's Prometheus scrapes the service and answers queries in PromQL.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use lab::jaeger::Jaeger;
use lab::poll::eventually;
use lab::rkt_api_service::{Images, StandIn};
use lab::service::{ReservedPort, Service, http};
use lab::{TempDir, tempdir};
use serde_json::Value;

/// A running Prometheus; dropping it kills it.
struct Prometheus {
    process: Child,
    port: ReservedPort,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes `target` every second.
    fn scraping(target: SocketAddr) -> Self {
        let folder = tempdir().expect("a temporary folder can be made");
        let configuration = folder.path().join("prometheus.yml");
        let jobs = format!(
            "scrape_configs: [{{job_name: service, scrape_interval: 1s, scrape_timeout: 1s, \
             static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        fs::write(&configuration, jobs).expect("a fresh folder can be written to");
        let log = fs::File::create(folder.path().join("log")).expect("so can this");
        let port = ReservedPort::reserve();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().display()))
            .arg(format!("--web.listen-address={}", port.address()))
            .arg("--enable-feature=exemplar-storage")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect(
                "Prometheus is missing: run tests/setup, or install Debian's package prometheus",
            );
        Self {
            process,
            port,
            _folder: folder,
        }
    }

    /// Waits until this instant query (in which `%` encodes what a URL has no room for) has one result with this value.
    #[track_caller]
    fn wait_for(&self, query: &str, value: &str) {
        self.wait_for_data(&format!("query?query={query}"), |data| {
            let [result] = &data["result"].as_array()?[..] else {
                return None;
            };
            (result["value"][1] == *value).then_some(())
        });
    }

    /// Waits until `find` finds something in the answer of this part of the API.
    #[track_caller]
    fn wait_for_data<T>(&self, request: &str, find: impl Fn(&Value) -> Option<T>) -> T {
        let path = format!("/api/v1/{request}");
        let mut last = String::new();
        let answered = || {
            last = match http::get(self.port.address(), &path) {
                Ok(response) => response.text().to_owned(),
                Err(not_yet) => not_yet.to_string(),
            };
            let answer: Value = serde_json::from_str(&last).ok()?;
            find(&answer["data"])
        };
        eventually(&path, answered)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Fails only if it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn prometheus_learns_of_a_failure_and_keeps_the_last_count() {
    let stand_in = StandIn::tcp(Images::generated(17));
    let service = service(&stand_in);
    assert!(service.query().contains("17 images"));
    stand_in.stop();
    assert!(service.query().contains("query failed"));
    let prometheus = Prometheus::scraping(service.address());
    prometheus.wait_for("imagestore_up%7Bstore=%22rkt%22%7D", "0");
    prometheus.wait_for("imagestore_images%7Bstore=%22rkt%22%7D", "17");
    prometheus.wait_for(
        "imagestore_query_failures_total%7Bcode=%22UNAVAILABLE%22%7D",
        "1",
    );
}

#[test]
fn prometheus_learns_the_count_and_that_the_service_is_up() {
    let stand_in = StandIn::tcp(Images::generated(17));
    let service = service(&stand_in);
    let prometheus = Prometheus::scraping(service.address());
    prometheus.wait_for("up%7Bjob=%22service%22%7D", "1");
    assert!(service.query().contains("17 images"));
    prometheus.wait_for("imagestore_images%7Bstore=%22rkt%22%7D", "17");
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
