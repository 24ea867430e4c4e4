//! Scrapes over and over, on connections that stay open; one thread, to leave the CPU to who is measured.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use lab::load::{Asked, Kept, Tally};
use tokio::{runtime::Builder, task::JoinSet};

/// How scraping went.
pub(crate) struct Load {
    pub(crate) elapsed: Duration,
    pub(crate) latencies: Vec<Duration>,
}

impl Load {
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// Scrapes `times` in all. Panics when an answer is not 200.
    pub(crate) fn run(address: SocketAddr, connections: usize, times: usize) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime needs a few descriptors");
        let began = Instant::now();
        let tally = runtime.block_on(async {
            let shares = (0..connections).map(|index| (times + index) / connections);
            let mut clients: JoinSet<Tally> = shares.map(|share| scrape(address, share)).collect();
            let mut all = Tally::default();
            while let Some(client) = clients.join_next().await {
                all.add(client.expect("no client panics"));
            }
            all
        });
        assert_eq!(tally.failed(), 0, "{:?}", tally.failures);
        Self {
            elapsed: began.elapsed(),
            latencies: tally.latencies,
        }
    }
}

async fn scrape(address: SocketAddr, times: usize) -> Tally {
    let (mut client, mut tally) = (Kept::new(address), Tally::default());
    for _ in 0..times {
        tally.count(Asked::by(client.ask()).await);
    }
    tally
}
