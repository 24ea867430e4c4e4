//! The clients whose scrapes are measured.

use std::{net::SocketAddr, time::Duration};

use lab::load::{Exchange, Kept, Tally};
use tokio::{
    runtime::Builder,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

/// Prometheus's default, from connecting to the last byte; a scrape that takes longer is lost.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// For each interval there is one scraper of each kind.
const INTERVALS: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(150),
    Duration::from_millis(200),
    Duration::from_millis(250),
];

const POLITE_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
pub(super) struct Scraper {
    address: SocketAddr,
    connection: Connection,
    interval: Duration,
    /// Delay before the first scrape.
    delay: Duration,
}

#[derive(Clone, Copy)]
enum Connection {
    /// A new one for each scrape, like a Prometheus that has just started. A scrape does not wait for the previous one: otherwise
    /// a stall would affect only one scrape, however long it lasts.
    Fresh,
    /// One for all scrapes, like a running Prometheus. A scrape waits for the previous one.
    Kept,
}

impl Scraper {
    /// The scrapers of every row: four that keep their connections, and four that do not.
    pub(super) fn usual(address: SocketAddr) -> Vec<Self> {
        let of = |connection| {
            INTERVALS.map(|interval| Self {
                address,
                connection,
                interval,
                delay: Duration::ZERO,
            })
        };
        let scrapers = [Connection::Fresh, Connection::Kept].map(of);
        scrapers.into_iter().flatten().collect()
    }

    /// `count` scrapers that keep their connections and scrape once a second, spread evenly over the second.
    pub(super) fn polite(address: SocketAddr, count: usize) -> impl Iterator<Item = Self> {
        let step = POLITE_INTERVAL / count as u32;
        (0..count as u32).map(move |index| Self {
            address,
            connection: Connection::Kept,
            interval: POLITE_INTERVAL,
            delay: step * index,
        })
    }

    async fn scrape(self, until: Instant) -> Tally {
        sleep(self.delay).await;
        match self.connection {
            Connection::Fresh => self.scrape_afresh(until).await,
            Connection::Kept => self.keep_scraping(until).await,
        }
    }

    async fn scrape_afresh(self, until: Instant) -> Tally {
        let mut scrapes = JoinSet::new();
        let mut turns = interval(self.interval);
        while turns.tick().await < until {
            let mut client = Kept::new(self.address);
            scrapes.spawn(async move { scrape_once(&mut client).await });
        }
        let mut tally = Tally::default();
        while let Some(exchange) = scrapes.join_next().await {
            tally.count(exchange.expect("no scrape panics"));
        }
        tally
    }

    async fn keep_scraping(self, until: Instant) -> Tally {
        let mut tally = Tally::default();
        let mut client = Kept::new(self.address);
        let mut turns = interval(self.interval);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            if Instant::now() >= until {
                return tally;
            }
            tally.count(scrape_once(&mut client).await);
        }
    }
}

/// One scrape. It is lost if it takes longer than [`TIMEOUT`].
async fn scrape_once(client: &mut Kept) -> Exchange {
    let scrape = timeout(TIMEOUT, client.scrape());
    Exchange::of(async { scrape.await.unwrap_or_else(|_| Err("timed out".to_owned())) }).await
}

/// Starts scrapes for `duration`, then waits for the last responses.
pub(super) fn run(scrapers: Vec<Scraper>, duration: Duration) -> Tally {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs a few descriptors");
    runtime.block_on(async {
        let until = Instant::now() + duration;
        let mut scraping: JoinSet<Tally> = scrapers
            .into_iter()
            .map(|scraper| scraper.scrape(until))
            .collect();
        let mut all = Tally::default();
        while let Some(tally) = scraping.join_next().await {
            all.add(tally.expect("no scraper panics"));
        }
        all
    })
}
