//! Scrapes per second, their latency and CPU time, compared with node_exporter.

use std::{net::SocketAddr, time::Duration};

use lab::{
    rkt_api_service::{Images, StandIn},
    service::http::PROMETHEUS,
};

use crate::{
    peers::Peers,
    report::{Report, figure, median, microseconds, quantile, ratio},
    usage::Usage,
};

pub(crate) mod load;

use load::Load;

const ROUNDS: usize = 7;

/// On how many connections, and what scrapes ask for.
struct Case {
    connections: usize,
    format: &'static str,
    headers: &'static [(&'static str, &'static str)],
    /// The bar: CPU time, as a part of node_exporter's.
    most_cpu: f64,
}

const CASES: [Case; 3] = [
    Case {
        connections: 1,
        format: "text",
        headers: &[],
        most_cpu: 1.0 / 8.0,
    },
    Case {
        connections: 16,
        format: "text",
        headers: &[],
        most_cpu: 1.0 / 8.0,
    },
    Case {
        connections: 16,
        format: "OpenMetrics, gzip",
        headers: &PROMETHEUS,
        most_cpu: 0.1,
    },
];

/// The results of one program in one case.
struct Scraped {
    name: &'static str,
    address: SocketAddr,
    usage: Usage,
    /// Scrapes in a round.
    scrapes: usize,
    rounds: Vec<Round>,
}

struct Round {
    per_second: u64,
    p50: Duration,
    p99: Duration,
    cpu: Duration,
}

impl Scraped {
    fn run(&mut self, case: &Case) {
        let before = self.usage.cpu();
        let load = Load::run(case.headers, self.address, case.connections, self.scrapes);
        let cpu = self.usage.cpu() - before;
        self.rounds.push(Round {
            per_second: load.per_second() as u64,
            p50: quantile(&load.latencies, 0.5),
            p99: quantile(&load.latencies, 0.99),
            cpu: cpu / self.scrapes as u32,
        });
    }

    fn median<T: Copy + Ord>(&self, of: impl Fn(&Round) -> T) -> T {
        let values: Vec<T> = self.rounds.iter().map(of).collect();
        median(&values)
    }

    fn row(&self, case: &Case) -> Vec<String> {
        vec![
            case.connections.to_string(),
            case.format.to_owned(),
            self.name.to_owned(),
            figure(self.median(|round| round.per_second) as f64),
            microseconds(self.median(|round| round.p50)),
            microseconds(self.median(|round| round.p99)),
            microseconds(self.median(|round| round.cpu)),
        ]
    }
}

pub(crate) fn measure(peers: &Peers, report: &mut Report) {
    let store = StandIn::tcp(Images::generated(10));
    let service = peers.service(&store.url());
    service.query();
    let node_exporter = peers.node_exporter();
    let mut rows = Vec::new();
    for case in &CASES {
        let mut programs = vec![Scraped {
            name: "exp-rkt-grpc",
            address: service.address(),
            usage: Usage(service.pid()),
            scrapes: 10_000,
            rounds: Vec::new(),
        }];
        programs.extend(node_exporter.as_ref().map(|exporter| Scraped {
            name: "node_exporter",
            address: exporter.address(),
            usage: exporter.usage(),
            scrapes: 1_000,
            rounds: Vec::new(),
        }));
        for _ in 0..ROUNDS {
            for program in &mut programs {
                program.run(case);
            }
        }
        rows.extend(programs.iter().map(|program| program.row(case)));
        if let ([ours, theirs], 16) = (&programs[..], case.connections) {
            compare(ours, theirs, case, report);
        }
    }
    if node_exporter.is_none() {
        report.skipped("scrapes of node_exporter", "it is not installed");
    }
    let head = [
        "connections",
        "format",
        "program",
        "per second",
        "p50, µs",
        "p99, µs",
        "CPU per scrape, µs",
    ];
    report.table("Scrapes", &head, &rows);
}

fn compare(ours: &Scraped, theirs: &Scraped, case: &Case, report: &mut Report) {
    report.at_most(
        &format!("CPU time per scrape ({}), vs. node_exporter", case.format),
        ratio(
            ours.median(|round| round.cpu),
            theirs.median(|round| round.cpu),
        ),
        case.most_cpu,
        " ×",
    );
    report.at_least(
        &format!(
            "scrapes per second ({}) on 16 connections, vs. node_exporter",
            case.format
        ),
        ours.median(|round| round.per_second) as f64
            / theirs.median(|round| round.per_second) as f64,
        8.0,
        " ×",
    );
}
