//! Resident memory: when idle, after many scrapes, after many queries.

use lab::rkt_api_service::{Images, StandIn};

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

pub(crate) fn measure(peers: &Peers, report: &mut Report) {
    let store = StandIn::tcp(Images::generated(10));
    let idle: Vec<u64> = (0..ROUNDS)
        .map(|_| Usage(peers.service(&store.url()).pid()).memory().rss)
        .collect();
    report.at_most(
        "idle RSS, Jaeger exporter on",
        median(&idle) as f64 / 1024.0,
        4.0,
        " MiB",
    );

    let service = peers.service(&store.url());
    let usage = Usage(service.pid());
    let mut rows = Vec::new();
    let mut note = |program: &str, when: &str, memory: Memory| {
        rows.push(vec![
            program.to_owned(),
            when.to_owned(),
            mebibytes(memory.rss),
            mebibytes(memory.pss),
        ]);
        memory.rss
    };
    let before = note("exp-rkt-grpc", "idle", usage.memory());
    service.query();
    Load::run(service.address(), 1, 1);
    note(
        "exp-rkt-grpc",
        "after one query and one scrape",
        usage.memory(),
    );
    // One connection that stays open, like Prometheus's.
    Load::run(service.address(), 1, SCRAPES);
    note("exp-rkt-grpc", "after 10,000 more scrapes", usage.memory());
    for _ in 0..QUERIES {
        service.query();
    }
    let after = note("exp-rkt-grpc", "and 10,000 more queries", usage.memory());
    report.at_most(
        "RSS growth after 10,000 queries and 10,000 scrapes",
        after.saturating_sub(before) as f64,
        512.0,
        " KiB",
    );

    Load::run(service.address(), 16, SCRAPES);
    note(
        "exp-rkt-grpc",
        "and 10,000 more scrapes, on 16 connections",
        usage.memory(),
    );

    match peers.node_exporter() {
        Some(exporter) => {
            let theirs = note("node_exporter", "idle", exporter.usage().memory());
            Load::run(exporter.address(), 1, SCRAPES);
            note(
                "node_exporter",
                "after 10,000 scrapes",
                exporter.usage().memory(),
            );
            report.at_most(
                "idle RSS vs. node_exporter",
                median(&idle) as f64 / theirs as f64,
                0.5,
                " ×",
            );
        }
        None => report.skipped("idle RSS vs. node_exporter", "it is not installed"),
    }
    report.table(
        "Memory",
        &["program", "when", "RSS, MiB", "PSS, MiB"],
        &rows,
    );
}
