//! A real Prometheus: scrapes services, evaluates rules, answers queries in PromQL, and serves console templates.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::poll::eventually;
use crate::service::ReservedPort;
use crate::service::http::{self, Response};

pub use release::Release;

mod release;

/// The file in its folder that it logs to.
const LOG: &str = "log";

/// A running Prometheus with exemplar storage, which scrapes and evaluates rules every second. Dropping it kills it.
#[derive(Debug)]
pub struct Prometheus {
    process: Child,
    port: ReservedPort,
    folder: TempDir,
}

/// Settings of a Prometheus.
#[derive(Debug)]
pub struct Builder {
    release: Release,
    scrape_configs: Vec<Value>,
    scrape_config_files: Vec<PathBuf>,
    rule_files: Vec<PathBuf>,
    consoles: Option<PathBuf>,
}

impl Builder {
    /// Adds a job that scrapes `targets`, with these labels on their series.
    pub fn job(self, name: &str, targets: &[SocketAddr], labels: &[(&str, &str)]) -> Self {
        let labels: Value = labels
            .iter()
            .map(|(name, value)| (*name, Value::from(*value)))
            .collect();
        self.scrape(json!({
            "job_name": name,
            "static_configs": [{"targets": targets, "labels": labels}],
        }))
    }

    /// Adds an entry of `scrape_configs`.
    pub fn scrape(mut self, job: Value) -> Self {
        self.scrape_configs.push(job);
        self
    }

    /// Adds a file with `scrape_configs`. Prometheus 2.42 cannot read such files.
    pub fn scrape_config_file(mut self, file: &Path) -> Self {
        self.scrape_config_files.push(file.to_owned());
        self
    }

    /// Adds a file of recording rules and alerts.
    pub fn rules(mut self, file: &Path) -> Self {
        self.rule_files.push(file.to_owned());
        self
    }

    /// Serves the console templates in this folder at `/consoles/`.
    pub fn consoles(mut self, folder: &Path) -> Self {
        self.consoles = Some(folder.to_owned());
        self
    }

    /// Starts it and waits until it is ready; it has no data yet. Panics with its log if it refuses its files.
    #[track_caller]
    pub fn start(self) -> Prometheus {
        let folder = tempdir().expect("a temporary folder can be made");
        let configuration = folder.path().join("prometheus.yml");
        // JSON is YAML.
        let mut settings = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": self.rule_files,
            "scrape_configs": self.scrape_configs,
        });
        if !self.scrape_config_files.is_empty() {
            settings["scrape_config_files"] = json!(self.scrape_config_files);
        }
        fs::write(&configuration, settings.to_string()).expect("a fresh folder can be written to");
        let log = folder.path().join(LOG);
        let stderr = File::create(&log).expect("so can this");
        let port = ReservedPort::reserve();
        let mut command = Command::new(self.release.program("prometheus"));
        if let Some(consoles) = self.consoles {
            command.arg(format!("--web.console.templates={}", consoles.display()));
        }
        let mut process = command
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().display()))
            .arg(format!("--web.listen-address={}", port.address()))
            .arg("--enable-feature=exemplar-storage")
            .arg("--log.level=debug")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect(
                "Prometheus is missing: run tests/setup, or install Debian's package prometheus",
            );
        eventually("Prometheus to be ready", || {
            let ended = process.try_wait().expect("it has not been reaped");
            assert_eq!(
                ended,
                None,
                "{}",
                fs::read_to_string(&log).unwrap_or_default()
            );
            let response = http::get(port.address(), "/-/ready").ok()?;
            (response.status == 200).then_some(())
        });
        Prometheus {
            process,
            port,
            folder,
        }
    }
}

impl Prometheus {
    /// A builder for one that scrapes nothing.
    pub fn builder(release: Release) -> Builder {
        Builder {
            release,
            scrape_configs: Vec::new(),
            scrape_config_files: Vec::new(),
            rule_files: Vec::new(),
            consoles: None,
        }
    }

    /// Starts one that scrapes `target` as job `service`.
    pub fn scraping(release: Release, target: SocketAddr) -> Self {
        Self::builder(release)
            .job("service", &[target], &[])
            .start()
    }

    /// What it has logged so far, including what it says at the level debug.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join(LOG)).expect("the log can be read")
    }

    /// The address of its API and pages.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// GETs a path; panics if there is no response.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        match http::get(self.address(), path) {
            Ok(response) => response,
            Err(error) => panic!("GET {path}: {error}"),
        }
    }

    /// Waits until this instant query has one result with this value.
    #[track_caller]
    pub fn wait_for(&self, query: &str, value: &str) {
        self.wait_for_data(&format!("query?query={}", encoded(query)), |data| {
            let [result] = &data["result"].as_array()?[..] else {
                return None;
            };
            (result["value"][1] == *value).then_some(())
        });
    }

    /// Waits until `find` finds something in the answer of this part of the API, such as `query?query=up`.
    #[track_caller]
    pub fn wait_for_data<T>(&self, request: &str, find: impl Fn(&Value) -> Option<T>) -> T {
        eventually(request, || find(&self.api(request).ok()?))
    }

    /// The data of this part of the API's answer.
    ///
    /// # Errors
    ///
    /// The text of an answer that reports an error, such as a query that cannot be parsed, or that has advice (from Prometheus 3: `warnings`
    /// and `infos`), such as that a metric might not be a counter.
    #[track_caller]
    pub fn api(&self, request: &str) -> Result<Value, String> {
        let response = self.get(&format!("/api/v1/{request}"));
        let mut answer: Value =
            serde_json::from_str(response.text()).map_err(|_| response.text().to_owned())?;
        let has_advice = ["warnings", "infos"].map(|key| answer.get(key).is_some());
        match answer["status"] == "success" && has_advice == [false, false] {
            true => Ok(answer["data"].take()),
            false => Err(response.text().to_owned()),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Fails only if it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `text` as a value in the query of a URL.
pub fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => write!(encoded, "%{byte:02X}").expect("a string takes everything"),
        }
    }
    encoded
}
