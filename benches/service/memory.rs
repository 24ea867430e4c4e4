//! Resident memory: when idle, after many scrapes as Prometheus makes them, after many queries.

use lab::{
    rkt_api_service::{Images, StandIn},
    service::http::PROMETHEUS,
};

use crate::{
    peers::Peers,
    report::{Report, mebibytes, median},
    scrapes::load::Load,
    usage::{Memory, Usage},
};

const SCRAPES: usize = 10_000;

const QUERIES: usize = 10_000;

/// New processes for the measurement of idle memory.
const ROUNDS: usize = 5;

/// The rows of the table.
#[derive(Default)]
struct Rows(Vec<Vec<String>>);

impl Rows {
    /// Adds a row, and returns its RSS.
    fn add(&mut self, program: &str, when: &str, memory: Memory) -> u64 {
        self.0.push(vec![
            program.to_owned(),
            when.to_owned(),
            mebibytes(memory.rss),
            mebibytes(memory.pss),
        ]);
        memory.rss
    }
}

pub(crate) fn measure(peers: &Peers, report: &mut Report) {
    let store = StandIn::tcp(Images::generated(10));
    let idle: Vec<u64> = (0..ROUNDS)
        .map(|_| Usage(peers.service(&store.url()).pid()).memory().rss)
        .collect();
    let idle = median(&idle) as f64;
    report.at_most("idle RSS, Jaeger exporter on", idle / 1024.0, 4.0, " MiB");
    let mut rows = Rows::default();
    measure_growth(peers, &store, &mut rows, report);
    compare_with_node_exporter(peers, idle, &mut rows, report);
    let head = ["program", "when", "RSS, MiB", "PSS, MiB"];
    report.table("Memory", &head, &rows.0);
}

fn measure_growth(peers: &Peers, store: &StandIn, rows: &mut Rows, report: &mut Report) {
    let service = peers.service(&store.url());
    let usage = Usage(service.pid());
    let mut note = |when: &str| rows.add("exp-rkt-grpc", when, usage.memory());
    let before = note("idle");
    service.query();
    Load::run(&PROMETHEUS, service.address(), 1, 1);
    note("after one query and one scrape");
    // One connection that stays open, like Prometheus's.
    Load::run(&PROMETHEUS, service.address(), 1, SCRAPES);
    note("after 10,000 more scrapes");
    for _ in 0..QUERIES {
        service.query();
    }
    let after = note("and 10,000 more queries");
    report.at_most(
        "RSS growth after 10,000 queries and 10,000 scrapes",
        after.saturating_sub(before) as f64,
        512.0,
        " KiB",
    );

    Load::run(&PROMETHEUS, service.address(), 16, SCRAPES);
    note("and 10,000 more scrapes, on 16 connections");
}

/// `idle` is the service's RSS when idle.
fn compare_with_node_exporter(peers: &Peers, idle: f64, rows: &mut Rows, report: &mut Report) {
    let Some(exporter) = peers.node_exporter() else {
        report.skipped("idle RSS vs. node_exporter", "it is not installed");
        return;
    };
    let mut note = |when: &str| rows.add("node_exporter", when, exporter.usage().memory());
    let theirs = note("idle");
    Load::run(&PROMETHEUS, exporter.address(), 1, SCRAPES);
    note("after 10,000 scrapes");
    report.at_most(
        "idle RSS vs. node_exporter",
        idle / theirs as f64,
        0.5,
        " ×",
    );
}
