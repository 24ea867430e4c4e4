//! Time, CPU time and peak memory of one query, by the number of images in rkt's store.

use std::time::Duration;

use lab::{
    rkt_api_service::{Images, StandIn},
    service::Service,
};

use crate::{
    clients::{Client, Reading},
    peers::Peers,
    report::{Report, mebibytes, median, milliseconds, ratio},
    usage::Usage,
};

/// Pairs of the number of images in the store and the number of rounds.
const SIZES: [(usize, usize); 4] = [(1_000, 25), (10_000, 15), (100_000, 9), (1_000_000, 5)];

/// Queries in a round for the service and the bare drain. Their times are close, so they need more measurements.
const SERVICE_QUERIES: usize = 3;

/// The measurements of one client.
struct Costs {
    name: &'static str,
    queries: usize,
    times: Vec<Duration>,
    cpu: Vec<Duration>,
    peaks: Vec<u64>,
}

enum Asker {
    Service(Service),
    Client(Client),
}

impl Asker {
    /// The duration that the service reports covers the time from connecting to the last byte, like that of the clients.
    fn query(&mut self, images: u64) -> Duration {
        match self {
            Self::Client(client) => client.query(images),
            Self::Service(service) => {
                let spent = |service: &Service| {
                    let scrape = service.scrape();
                    let sum =
                        scrape.value("imagestore_query_duration_seconds_sum", &[("store", "rkt")]);
                    (sum.unwrap_or(0.0), scrape)
                };
                let (before, _) = spent(service);
                service.query();
                let (after, scrape) = spent(service);
                let counted = scrape.value("imagestore_images", &[("store", "rkt")]);
                assert_eq!(counted, Some(images as f64), "{}", service.stderr());
                Duration::from_secs_f64(after - before)
            }
        }
    }

    fn usage(&self) -> Usage {
        match self {
            Self::Service(service) => Usage(service.pid()),
            Self::Client(client) => client.usage(),
        }
    }
}

impl Costs {
    fn add(&mut self, asker: &mut Asker, images: u64) {
        let usage = asker.usage();
        usage.forget_peak();
        let before = usage.cpu();
        self.times.push(asker.query(images));
        self.cpu.push(usage.cpu() - before);
        self.peaks.push(usage.peak());
    }
}

pub(crate) fn measure(peers: &Peers, report: &mut Report) {
    if peers.python.is_none() {
        report.skipped("Python's grpcio", "it could not be installed, see above");
    }
    let mut rows = Vec::new();
    let mut peaks = Vec::new();
    for (images, rounds) in SIZES {
        let costs = measure_size(peers, images, rounds);
        let service = median(&costs[0].times);
        peaks.push(median(&costs[0].peaks));
        for costs in &costs {
            rows.push(row(images, costs, service));
        }
        if images == 1_000_000 {
            compare_times(&costs, report);
        }
    }
    let head = [
        "images",
        "client",
        "time, ms",
        "relative",
        "CPU, ms",
        "peak RSS, MiB",
    ];
    report.table("Queries", &head, &rows);
    compare_peaks(&peaks, report);
}

/// The service's time for a million images with that of the other clients.
fn compare_times(costs: &[Costs], report: &mut Report) {
    let service = median(&costs[0].times);
    let relative = |name| {
        let other = costs.iter().find(|costs| costs.name == name);
        ratio(service, median(&other.expect("it ran").times))
    };
    let drain = relative("bare drain");
    report.at_most("1M images, time vs. bare drain", drain, 1.25, " ×");
    let full = relative("full decode");
    report.at_most("1M images, time vs. full decode", full, 0.2, " ×");
}

/// The service's peaks, by ascending number of images.
fn compare_peaks(peaks: &[u64], report: &mut Report) {
    let (smallest, largest) = (peaks[0], peaks[peaks.len() - 1]);
    report.at_most(
        "peak RSS difference, 1M vs. 1k images",
        smallest.abs_diff(largest) as f64 / 1024.0,
        1.0,
        " MiB",
    );
    let highest = *peaks.iter().max().expect("there are sizes");
    report.at_most(
        "peak RSS during a query",
        highest as f64 / 1024.0,
        5.0,
        " MiB",
    );
}

fn measure_size(peers: &Peers, images: usize, rounds: usize) -> Vec<Costs> {
    let store = StandIn::tcp(Images::generated(images));
    let url = format!("http://{}", store.address());
    let client = |reading| Client::start(reading, peers, &url).map(Asker::Client);
    let askers = [
        (
            "exp-rkt-grpc",
            SERVICE_QUERIES,
            Some(Asker::Service(peers.service(&store.url()))),
        ),
        ("bare drain", SERVICE_QUERIES, client(Reading::Drain)),
        ("full decode", 1, client(Reading::Full)),
        ("Python's grpcio", 1, client(Reading::Python)),
    ];
    let mut askers: Vec<(Costs, Asker)> = askers
        .into_iter()
        .filter_map(|(name, queries, asker)| {
            let mut asker = asker?;
            // Warm up: the first query is not measured.
            asker.query(images as u64);
            let costs = Costs {
                name,
                queries,
                times: Vec::new(),
                cpu: Vec::new(),
                peaks: Vec::new(),
            };
            Some((costs, asker))
        })
        .collect();
    for turn in 0..rounds * SERVICE_QUERIES {
        for (costs, asker) in &mut askers {
            if turn % SERVICE_QUERIES < costs.queries {
                costs.add(asker, images as u64);
            }
        }
    }
    askers.into_iter().map(|(costs, _)| costs).collect()
}

fn row(images: usize, costs: &Costs, ours: Duration) -> Vec<String> {
    let time = median(&costs.times);
    vec![
        images.to_string(),
        costs.name.to_owned(),
        milliseconds(time),
        format!("{:.2} ×", ratio(time, ours)),
        milliseconds(median(&costs.cpu)),
        mebibytes(median(&costs.peaks)),
    ]
}
