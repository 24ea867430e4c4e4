//! What a scrape says.

use std::net::SocketAddr;

use lab::exposition::Scrape;
use lab::service::http;

use crate::{Break, Step};

/// The label of the only store.
const STORE: (&str, &str) = ("store", "rkt");

/// What is known about the store.
pub(super) const SUBJECT: &[&str] = &[
    "imagestore_up",
    "imagestore_images",
    "imagestore_images_size_bytes",
    "imagestore_oldest_image_timestamp_seconds",
    "imagestore_newest_image_timestamp_seconds",
    "imagestore_runtime_info",
    "imagestore_queries_total",
    "imagestore_query_duration_seconds_sum",
    "imagestore_last_query_timestamp_seconds",
    "imagestore_last_success_timestamp_seconds",
];

/// How the last query ended.
pub(super) const OUTCOME: &[&str] = &[
    "imagestore_up",
    "imagestore_images",
    "imagestore_queries_total",
    "imagestore_query_failures_total",
    "imagestore_last_query_timestamp_seconds",
    "imagestore_last_success_timestamp_seconds",
];

/// One answer of `/metrics`.
#[derive(Debug)]
pub(super) struct Metrics {
    text: String,
    scrape: Scrape,
}

impl Metrics {
    /// Asks as Prometheus does.
    pub(super) fn scrape(address: SocketAddr) -> Step<Self> {
        let url = format!("http://{address}/metrics");
        let response = http::get(address, "/metrics").map_err(Break::because(&url))?;
        if response.status != 200 {
            return Err(Break::Failed(format!("{url}: HTTP {}", response.status)));
        }
        let text = String::from_utf8_lossy(&response.body).into_owned();
        let scrape = Scrape::parse(&text).map_err(Break::because(&url))?;
        Ok(Self { text, scrape })
    }

    /// The value of a metric that the store has one of, if it is there.
    pub(super) fn store(&self, name: &str) -> Option<f64> {
        self.scrape.value(name, &[STORE])
    }

    /// The lines of these names as they were sent; of the counted failures only those that happened.
    pub(super) fn excerpt(&self, names: &[&str]) -> String {
        self.text
            .lines()
            .filter(|line| names.contains(&name(line)) && !never_failed(line))
            .flat_map(|line| [line, "\n"])
            .collect()
    }
}

fn name(line: &str) -> &str {
    line.split(['{', ' ']).next().unwrap_or_default()
}

fn never_failed(line: &str) -> bool {
    name(line) == "imagestore_query_failures_total" && line.ends_with(" 0")
}
