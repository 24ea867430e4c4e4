//! Scrapes per second, their latency and CPU time, compared with node_exporter.

use std::{net::SocketAddr, time::Duration};

use lab::rkt_api_service::{Images, StandIn};

use crate::{
    peers::Peers,
    report::{Report, figure, median, microseconds, quantile, ratio},
    usage::Usage,
};

pub(crate) mod load;

use load::Load;

const ROUNDS: usize = 7;

const CONNECTIONS: [usize; 2] = [1, 16];

/// The results of one program with a given number of connections.
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
    fn run(&mut self, connections: usize) {
        let before = self.usage.cpu();
        let load = Load::run(self.address, connections, self.scrapes);
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

    fn row(&self, connections: usize) -> Vec<String> {
        vec![
            connections.to_string(),
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
    for connections in CONNECTIONS {
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
                program.run(connections);
            }
        }
        rows.extend(programs.iter().map(|program| program.row(connections)));
        if let ([ours, theirs], 16) = (&programs[..], connections) {
            compare(ours, theirs, report);
        }
    }
    if node_exporter.is_none() {
        report.skipped("scrapes of node_exporter", "it is not installed");
    }
    let head = [
        "connections",
        "program",
        "per second",
        "p50, µs",
        "p99, µs",
        "CPU per scrape, µs",
    ];
    report.table("Scrapes", &head, &rows);
}

fn compare(ours: &Scraped, theirs: &Scraped, report: &mut Report) {
    report.at_most(
        "CPU time per scrape, vs. node_exporter",
        ratio(
            ours.median(|round| round.cpu),
            theirs.median(|round| round.cpu),
        ),
        1.0 / 8.0,
        " ×",
    );
    report.at_least(
        "scrapes per second on 16 connections, vs. node_exporter",
        ours.median(|round| round.per_second) as f64
            / theirs.median(|round| round.per_second) as f64,
        8.0,
        " ×",
    );
}
