//! Time, CPU time and peak memory of a query of a million images or names, by the kind of the store.

use std::time::{Duration, Instant};

use lab::{containerd_api, cri_runtime, rkt_api_service};

use crate::{
    peers::Peers,
    report::{Report, mebibytes, median, milliseconds},
    usage::Usage,
};

/// The argument that runs this part only.
pub(crate) const PART: &str = "kinds";

const MILLION: usize = 1_000_000;

/// Images that containers use.
const USED: usize = 500;

/// Different images among the names of a namespace.
const IMAGES: usize = 100_000;

const ROUNDS: usize = 5;

/// The medians of a kind.
struct Costs {
    name: &'static str,
    time: Duration,
    cpu: Duration,
    peak: u64,
}

impl Costs {
    /// Queries the store at this URL; the status of each query has these words.
    fn of(name: &'static str, peers: &Peers, url: &str, words: &str) -> Self {
        let service = peers.service(url);
        let usage = Usage(service.pid());
        let (mut times, mut cpu, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
        // The first query is not measured.
        for round in 0..=ROUNDS {
            usage.forget_peak();
            let (began, before) = (Instant::now(), usage.cpu());
            let status = service.query();
            assert!(status.contains(words), "{status}");
            if round > 0 {
                times.push(began.elapsed());
                cpu.push(usage.cpu() - before);
                peaks.push(usage.peak());
            }
        }
        Self {
            name,
            time: median(&times),
            cpu: median(&cpu),
            peak: median(&peaks),
        }
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.name.to_owned(),
            milliseconds(self.time),
            milliseconds(self.cpu),
            mebibytes(self.peak),
        ]
    }
}

pub(crate) fn measure(peers: &Peers, report: &mut Report) {
    let images = ": 1000000 images";
    let rkt = rkt_api_service::StandIn::tcp(rkt_api_service::Images::generated(MILLION));
    let rkt = Costs::of("rkt", peers, &rkt.url(), images);
    let runtime = cri_runtime::StandIn::tcp(cri_runtime::Images::generated(MILLION));
    let cri = Costs::of("cri, no containers", peers, &runtime.url(), images);
    let used = (0..USED).map(|ordinal| cri_runtime::container(format!("sha256:{ordinal:064x}")));
    runtime.serve_containers(used);
    let cri_used = Costs::of("cri, 500 containers", peers, &runtime.url(), images);
    let names = containerd_api::Names::made(MILLION, |ordinal| {
        containerd_api::image(&format!("quay.io/a:{ordinal}"), ordinal % IMAGES)
    });
    let api = containerd_api::StandIn::tcp(names);
    let words = ": 100000 images";
    let containerd = Costs::of(
        "containerd, 100,000 images",
        peers,
        &api.url_of("moby"),
        words,
    );

    let others = rkt.peak.max(cri.peak).max(cri_used.peak);
    report.at_most(
        "peak RSS, kind containerd vs. the others",
        containerd.peak.saturating_sub(others) as f64 / 1024.0,
        1.5,
        " MiB",
    );
    let rows = [rkt, cri, cri_used, containerd].map(|costs| costs.row());
    let head = ["a million of", "time, ms", "CPU, ms", "peak RSS, MiB"];
    report.table("Kinds", &head, &rows);
}
