//! Scrapes repeatedly on connections that stay open. Uses one thread, to leave the other CPU to the measured program.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use lab::load::{Exchange, Kept, Tally};
use tokio::{runtime::Builder, task::JoinSet};

/// The results of a number of scrapes.
pub(crate) struct Load {
    pub(crate) elapsed: Duration,
    pub(crate) latencies: Vec<Duration>,
}

impl Load {
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// Scrapes `times` times in total, with these headers. Panics if a response is not 200.
    pub(crate) fn run(
        headers: &'static [(&str, &str)],
        address: SocketAddr,
        connections: usize,
        times: usize,
    ) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime needs a few descriptors");
        let began = Instant::now();
        let tally = runtime.block_on(async {
            let shares = (0..connections).map(|index| (times + index) / connections);
            let mut clients: JoinSet<Tally> = shares
                .map(|share| scrape(headers, address, share))
                .collect();
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

async fn scrape(headers: &'static [(&str, &str)], address: SocketAddr, times: usize) -> Tally {
    let (mut client, mut tally) = (Kept::asking(address, headers), Tally::default());
    for _ in 0..times {
        tally.count(Exchange::of(client.scrape()).await);
    }
    tally
}
