//! The result of a scrape.

use std::net::SocketAddr;

use lab::exposition::Scrape;
use lab::service::http;

use crate::{Break, Step};

/// The label of the only store.
const STORE: (&str, &str) = ("store", "rkt");

/// The metrics of the store.
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

/// The metrics that show how the last query ended.
pub(super) const OUTCOME: &[&str] = &[
    "imagestore_up",
    "imagestore_images",
    "imagestore_queries_total",
    "imagestore_query_failures_total",
    "imagestore_last_query_timestamp_seconds",
    "imagestore_last_success_timestamp_seconds",
];

/// One response of `/metrics`.
#[derive(Debug)]
pub(super) struct Metrics {
    text: String,
    scrape: Scrape,
}

impl Metrics {
    /// Scrapes, like Prometheus.
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

    /// The value of a metric with no label other than the store's, if present.
    pub(super) fn store(&self, name: &str) -> Option<f64> {
        self.scrape.value(name, &[STORE])
    }

    /// The lines of these metrics, as sent. Failure counters that are 0 are left out.
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
