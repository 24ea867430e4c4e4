//! The Prometheus of the same Debian: it scrapes the service, and its promtool has nothing to say about what the package ships.

use lab::poll::eventually;
use lab::rkt_api_service::Images;
use lab::service::http;
use serde_json::Value;

use crate::host::{Host, localhost};

/// The package's rules and scrape configurations.
const SHIPPED: &str = "/usr/share/doc/exp-rkt-grpc/prometheus";

/// Debian's unit of Prometheus reads the configuration here.
const ETC: &str = "/etc/prometheus";

/// What an operator has after following docs/scraping.md.
const CONFIGURATION: &str = r#"
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [recording-rules.yml, alerts.yml]
scrape_configs:
  - job_name: exp-rkt-grpc
    static_configs:
      - targets: ["127.0.0.1:33333"]
"#;

/// The value of the only result of an instant query.
fn value(host: &Host, query: &str) -> Option<String> {
    let path = format!("/api/v1/query?query={}", lab::prometheus::encoded(query));
    let response = host.machine.network(|| http::get(localhost(9090), &path));
    let answer: Value = serde_json::from_str(response.ok()?.text()).ok()?;
    let [result] = &answer["data"]["result"].as_array()?[..] else {
        return None;
    };
    result["value"][1].as_str().map(str::to_owned)
}

#[test]
fn debians_prometheus_scrapes_the_service_and_promtool_finds_nothing() {
    let Some(host) = Host::boot("prometheus") else {
        return;
    };
    let _store = host.store(Images::generated(7));
    host.systemctl("start exp-rkt-grpc");
    host.query();
    host.machine
        .write("/tmp/metrics", host.get("/metrics").text().as_bytes());
    let check = "promtool check metrics </tmp/metrics 2>&1";
    let output = host.machine.run(["sh", "-c", check]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert!(output.status.success(), "{output:?}");

    for rules in ["recording-rules.yml", "alerts.yml"] {
        host.machine.succeed(&format!("cp {SHIPPED}/{rules} {ETC}"));
    }
    host.machine
        .write(&format!("{ETC}/prometheus.yml"), CONFIGURATION);
    host.machine.succeed(&format!(
        "promtool check config --lint=all --lint-fatal {ETC}/prometheus.yml"
    ));
    host.systemctl("start prometheus");
    for (query, expected) in [
        ("up{job='exp-rkt-grpc'}", "1"),
        ("imagestore_images{store='rkt'}", "7"),
        ("sum(runtime:imagestore_images:sum)", "7"),
    ] {
        eventually(query, || (value(&host, query)? == expected).then_some(()));
    }
}
