//! The Grafana dashboard, the console template with the same panels, and the rules: a real Prometheus that scrapes a real service
//! evaluates every expression.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lab::containerd_api::{self, Names};
use lab::jaeger_agent::JaegerAgent;
use lab::poll::eventually;
use lab::prometheus::{Prometheus, Release, encoded};
use lab::service::{ReservedPort, Service};
use lab::{TempDir, cri_runtime, rkt_api_service, tempdir};
use serde_json::Value;

use dashboard::{Dashboard, Expression};

#[path = "dashboard/console.rs"]
mod console;
#[path = "dashboard/dashboard.rs"]
mod dashboard;
#[path = "dashboard/names.rs"]
mod names;

lab::with_both! {
    v3:
    every_expression_of_the_dashboard_has_data,
    every_rule_can_be_evaluated_and_its_metrics_exist,
    the_console_of_a_prometheus_without_a_service_says_that_there_is_no_data,
    the_console_shows_the_numbers,
}

const JOB: &str = "exp-rkt-grpc";

/// A service with four stores, one of which is down, and a Prometheus that scraped it before and after queries.
struct Scene {
    prometheus: Prometheus,
    service: Service,
    _rkt: rkt_api_service::StandIn,
    _cri: cri_runtime::StandIn,
    _containerd: containerd_api::StandIn,
    _folder: TempDir,
    _agent: JaegerAgent,
    _nobody: ReservedPort,
}

impl Scene {
    fn start(release: Release) -> Self {
        let rkt = rkt_api_service::StandIn::tcp(rkt_api_service::Images::generated(17));
        let folder = tempdir().expect("a temporary folder can be made");
        let images = cri_runtime::Images::generated(40);
        let cri = cri_runtime::StandIn::unix(&folder.path().join("cri.sock"), images);
        let cri = cri.expect("a socket can be bound there");
        // A mount point that every service can see; its size is 0.
        cri.serve_filesystems(vec![cri_runtime::filesystem("/proc", 4096, 16)]);
        let two_names = |name| containerd_api::image(&format!("example.org/a:{name}"), name / 2);
        let containerd = containerd_api::StandIn::tcp(Names::made(6, two_names));
        let agent = JaegerAgent::bind();
        let nobody = ReservedPort::reserve();
        let service = Service::builder(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
            .store(rkt.url())
            .store(cri.url())
            .store(containerd.url_of("moby"))
            .store(format!("gone=rkt+http://{}", nobody.address()))
            .env("OTEL_EXPORTER_JAEGER_AGENT_PORT", agent.port().to_string())
            .start();
        let builder = Prometheus::builder(release).job(JOB, &[service.address()], &[]);
        let builder = rule_files().iter().fold(builder, |b, file| b.rules(file));
        let prometheus = builder.consoles(&packaged("prometheus/consoles")).start();
        // An increase needs a sample from before it, and histograms begin with the first query.
        for queries in ["4", "8"] {
            prometheus.wait_for("count(imagestore_info)", "4");
            service.query();
            prometheus.wait_for("sum(imagestore_queries_total)", queries);
        }
        Self {
            prometheus,
            service,
            _rkt: rkt,
            _cri: cri,
            _containerd: containerd,
            _folder: folder,
            _agent: agent,
            _nobody: nobody,
        }
    }

    /// The expression with Grafana's variables replaced.
    #[track_caller]
    fn fill(&self, expression: &str) -> String {
        let filled = expression
            .replace("$__rate_interval", "1h")
            .replace("$__range", "1h")
            .replace("$job", JOB)
            .replace("$instance", &self.service.address().to_string())
            .replace("$store", ".+");
        assert!(!filled.contains('$'), "{filled}");
        filled
    }

    /// Fails unless Prometheus can evaluate the expression and knows every metric in it.
    #[track_caller]
    fn check(&self, expression: &str) {
        if let Err(error) = self.prometheus.api(&instant(expression)) {
            panic!("{expression}: {error}");
        }
        let names = names::metrics(expression);
        assert!(!names.is_empty(), "{expression}");
        for name in names {
            let selector = instant(&format!("count({{__name__='{name}'}})"));
            self.prometheus
                .wait_for_data(&selector, |data| data["result"].get(0).map(drop));
        }
    }
}

fn instant(expression: &str) -> String {
    format!("query?query={}", encoded(expression))
}

fn packaged(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging")
        .join(path)
}

/// All rule files of the package; the folder has other files for Prometheus too.
fn rule_files() -> Vec<PathBuf> {
    let entries = fs::read_dir(packaged("prometheus")).expect("the folder can be read");
    let paths = entries.map(|entry| entry.expect("and its entries").path());
    let has_groups = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().any(|line| line == "groups:")
    };
    let files: Vec<_> = paths.filter(has_groups).collect();
    assert!(!files.is_empty(), "no rule files");
    files
}

/// All rules, each with the `file` that it is from, once they have been evaluated.
fn rules(prometheus: &Prometheus) -> Vec<Value> {
    prometheus.wait_for_data("rules", |data| {
        let mut rules = Vec::new();
        for group in data["groups"].as_array()? {
            for rule in group["rules"].as_array()? {
                let mut rule = rule.clone();
                rule["file"] = group["file"].clone();
                rules.push(rule);
            }
        }
        let evaluated = rules.iter().all(|rule| rule["health"] != "unknown");
        evaluated.then_some(rules)
    })
}

fn is_a_number(sample: &Value) -> bool {
    let number = sample["value"][1].as_str();
    number.is_some_and(|number| number != "NaN")
}

fn every_expression_of_the_dashboard_has_data(release: Release) {
    let scene = Scene::start(release);
    for Expression {
        text, exemplars, ..
    } in Dashboard::read().expressions()
    {
        let expression = scene.fill(&text);
        scene.check(&expression);
        scene
            .prometheus
            .wait_for_data(&instant(&expression), |data| {
                let samples = data["result"].as_array()?;
                samples.iter().any(is_a_number).then_some(())
            });
        if exemplars {
            let expression = encoded(&expression);
            let request = format!("query_exemplars?query={expression}&start=0&end=9999999999");
            scene.prometheus.wait_for_data(&request, |data| {
                data[0]["exemplars"][0]["labels"]["trace_id"]
                    .as_str()
                    .map(drop)
            });
        }
    }
}

fn every_rule_can_be_evaluated_and_its_metrics_exist(release: Release) {
    let scene = Scene::start(release);
    let rules = rules(&scene.prometheus);
    let files: BTreeSet<_> = rules.iter().map(|rule| rule["file"].as_str()).collect();
    assert_eq!(files.len(), rule_files().len(), "{files:?}");
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        scene.check(rule["query"].as_str().expect("each rule has an expression"));
    }
}

fn the_console_shows_the_numbers(release: Release) {
    let scene = Scene::start(release);
    let page = eventually("numbers in all panels of the console", || {
        let response = scene
            .prometheus
            .get("/consoles/exp-rkt-grpc.html?range=15m");
        assert_eq!(response.status, 200, "{}", response.text());
        let page = console::Page::parse(response.text());
        page.is_complete().then_some(page)
    });
    assert_eq!(page.rows("Stores up"), ["3"]);
    assert_eq!(page.rows("Stores down"), ["1"]);
    assert_eq!(
        page.rows("Images by runtime"),
        ["containerd 3", "rkt 17", "stand-in 40"]
    );
    assert_eq!(
        page.rows("Images"),
        ["containerd 3", "containerd names 6", "cri 40", "rkt 17"]
    );
    assert_eq!(page.rows("Unused images by runtime"), ["stand-in 38"]);
    let kinds = page.rows("Untagged, unused and pinned images");
    assert!(kinds.contains(&"cri unused 38".to_owned()), "{kinds:?}");
    assert_eq!(
        page.rows("Last query succeeded"),
        ["containerd yes", "cri yes", "gone no", "rkt yes"]
    );
    assert_eq!(
        page.rows("File systems of images"),
        ["cri /proc left 0B", "cri /proc used by images 4kiB"]
    );
    let address = scene.service.address();
    let failures = page.rows("Stores with the most failures");
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].starts_with(&format!("{address} gone UNAVAILABLE ")));
}

fn the_console_of_a_prometheus_without_a_service_says_that_there_is_no_data(release: Release) {
    let folder = packaged("prometheus/consoles");
    let prometheus = Prometheus::builder(release).consoles(&folder).start();
    let response = prometheus.get("/consoles/exp-rkt-grpc.html");
    assert_eq!(response.status, 200, "{}", response.text());
    let page = console::Page::parse(response.text());
    assert_eq!(page.rows("Images"), ["names no data", "no data"]);
}

#[test]
fn the_console_has_the_panels_of_the_dashboard() {
    let template = fs::read_to_string(packaged("prometheus/consoles/exp-rkt-grpc.html"));
    let shown = console::expressions(&template.expect("the template can be read"));
    let expected: Vec<_> = Dashboard::read().expressions().collect();
    let without_exemplars = |expression: &Expression| Expression {
        exemplars: false,
        ..expression.clone()
    };
    let expected: Vec<_> = expected.iter().map(without_exemplars).collect();
    assert_eq!(shown, expected);
}
