//! Scrapes while other clients hold connections, compared with node_exporter.

use std::{iter, net::SocketAddr, time::Duration};

use lab::{
    load::Tally,
    rkt_api_service::{Images, StandIn},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    peers::Peers,
    report::{Report, figure, milliseconds, quantile},
    usage::Usage,
};

mod activated;
mod attackers;
mod scrapers;

use activated::Activated;
use attackers::{Attackers, Manner};
use scrapers::{Scraper, TIMEOUT};

/// Third argument that makes this program measure only this part.
pub(crate) const PART: &str = "held";

/// File descriptors that this program needs: one for each connection, and some for everything else.
const DESCRIPTORS: u64 = 6_000;

/// The clients besides the scrapers, how long the scrapers run, and the bars for the service.
struct Attack {
    name: &'static str,
    crowd: Crowd,
    duration: Duration,
    bars: Bars,
}

#[derive(Clone, Copy)]
enum Crowd {
    Attackers(usize, Manner),
    /// More scrapers, which keep their connections; their scrapes are counted too.
    Polite(usize),
}

/// Upper limits for the service. In addition, no scrape may be lost.
#[derive(Clone, Copy)]
struct Bars {
    p99: Option<Duration>,
    /// In MB.
    peak: Option<f64>,
}

const NONE_LOST: Bars = Bars {
    p99: None,
    peak: None,
};

const FEW: Bars = Bars {
    p99: Some(Duration::from_millis(100)),
    peak: None,
};

const MANY: Bars = Bars {
    p99: Some(Duration::from_millis(250)),
    peak: Some(24.0),
};

const ATTACKS: [Attack; 9] = [
    // The kernel does not pass silent connections on for about 15 s (TCP_DEFER_ACCEPT).
    attack("128 silent", 128, Manner::Silent, 20, FEW),
    attack("128 × one byte", 128, Manner::OneByte, 11, FEW),
    attack("256 × one byte", 256, Manner::OneByte, 12, FEW),
    attack("128 keep-alive", 128, Manner::KeepAlive, 17, FEW),
    attack("5,000 × one byte", 5_000, Manner::OneByte, 12, MANY),
    attack("5,000 keep-alive", 5_000, Manner::KeepAlive, 17, MANY),
    attack("128 never read", 128, Manner::NeverReading, 11, NONE_LOST),
    attack("128 dripping", 128, Manner::Dripping, 11, NONE_LOST),
    Attack {
        name: "140 polite",
        crowd: Crowd::Polite(140),
        duration: Duration::from_secs(11),
        bars: NONE_LOST,
    },
];

const fn attack(
    name: &'static str,
    count: usize,
    manner: Manner,
    seconds: u64,
    bars: Bars,
) -> Attack {
    Attack {
        name,
        crowd: Crowd::Attackers(count, manner),
        duration: Duration::from_secs(seconds),
        bars,
    }
}

/// The results of one program.
struct Held {
    tally: Tally,
    /// How many times an attacker lost its connection or could not connect.
    closed: usize,
    /// In MB.
    peak: f64,
}

pub(crate) fn measure(peers: &Peers, report: &mut Report) {
    raise_limit();
    let store = StandIn::tcp(Images::generated(10));
    let mut rows = Vec::new();
    for attack in &ATTACKS {
        let service = Activated::start(peers, &store.url());
        let ours = attack.run(service.address(), service.usage());
        drop(service);
        rows.push(ours.row(attack, "exp-rkt-grpc"));
        attack.compare(&ours, report);
        if let Some(exporter) = peers.node_exporter() {
            let theirs = attack.run(exporter.address(), exporter.usage());
            rows.push(theirs.row(attack, "node_exporter"));
        }
    }
    if !peers.node_exporter {
        report.skipped("held connections of node_exporter", "it is not installed");
    }
    let head = [
        "others",
        "program",
        "answered",
        "lost",
        "p50, ms",
        "p99, ms",
        "peak RSS, MB",
        "others closed",
    ];
    report.table("Held connections", &head, &rows);
}

/// Raises the soft limit on file descriptors to the hard limit; panics if the hard limit is too low.
fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    assert!(
        hard >= DESCRIPTORS,
        "the bench needs {DESCRIPTORS} file descriptors, but its hard limit is {hard}: raise it (ulimit -Hn)"
    );
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).expect("the soft limit may be as high as the hard one");
}

impl Attack {
    fn run(&self, address: SocketAddr, usage: Usage) -> Held {
        let mut scrapers = Scraper::usual(address);
        let attackers = match self.crowd {
            Crowd::Attackers(count, manner) => Some(Attackers::begin(count, manner, address)),
            Crowd::Polite(count) => {
                scrapers.extend(Scraper::polite(address, count));
                None
            }
        };
        // The attackers hold their connections until the last scrape has ended.
        let tally = scrapers::run(scrapers, self.duration);
        Held {
            tally,
            closed: attackers.map_or(0, |attackers| attackers.closed()),
            peak: usage.peak() as f64 * 1024.0 / 1e6,
        }
    }

    fn compare(&self, held: &Held, report: &mut Report) {
        let name = self.name;
        let lost = held.tally.failed() as f64;
        report.at_most(&format!("{name}: scrapes lost"), lost, 0.0, "");
        if let Some(bar) = self.bars.p99 {
            let p99 = held.latency(0.99).as_secs_f64() * 1e3;
            let bar = bar.as_secs_f64() * 1e3;
            report.at_most(&format!("{name}: p99 of scrapes"), p99, bar, " ms");
        }
        if let Some(bar) = self.bars.peak {
            report.at_most(&format!("{name}: peak RSS"), held.peak, bar, " MB");
        }
    }
}

impl Held {
    fn row(&self, attack: &Attack, program: &str) -> Vec<String> {
        vec![
            attack.name.to_owned(),
            program.to_owned(),
            self.tally.latencies.len().to_string(),
            self.losses(),
            milliseconds(self.latency(0.5)),
            milliseconds(self.latency(0.99)),
            figure(self.peak),
            self.closed.to_string(),
        ]
    }

    /// Lost scrapes count as if they had taken [`TIMEOUT`].
    fn latency(&self, share: f64) -> Duration {
        let lost = iter::repeat_n(TIMEOUT, self.tally.failed());
        let all: Vec<_> = self.tally.latencies.iter().copied().chain(lost).collect();
        quantile(&all, share)
    }

    /// How many scrapes were lost, and why.
    fn losses(&self) -> String {
        let reasons = self.tally.failures.iter();
        let reasons = reasons.map(|(why, count)| format!("; {count} {why}"));
        iter::once(self.tally.failed().to_string())
            .chain(reasons)
            .collect()
    }
}
