//! The clients whose scrapes are measured.

use std::{net::SocketAddr, time::Duration};

use lab::load::{Asked, Kept, Tally};
use tokio::{
    runtime::Builder,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

/// Prometheus's default, from connecting to the last byte; a scrape that takes longer is lost.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// One scraper of each kind has each of these.
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
    /// Before the first scrape.
    pause: Duration,
}

#[derive(Clone, Copy)]
enum Connection {
    /// A new one for each scrape, as of a Prometheus that has just started. A scrape does not wait for the one before: otherwise
    /// a stall would count once, however long it lasts.
    Fresh,
    /// One for all scrapes, as of a running Prometheus; a scrape waits for the one before.
    Kept,
}

impl Scraper {
    /// Those of every row: four that keep their connections, and four that do not.
    pub(super) fn usual(address: SocketAddr) -> Vec<Self> {
        let of = |connection| {
            INTERVALS.map(|interval| Self {
                address,
                connection,
                interval,
                pause: Duration::ZERO,
            })
        };
        let scrapers = [Connection::Fresh, Connection::Kept].map(of);
        scrapers.into_iter().flatten().collect()
    }

    /// As many that keep their connections and scrape once a second, evenly spread over it.
    pub(super) fn polite(address: SocketAddr, count: usize) -> impl Iterator<Item = Self> {
        let step = POLITE_INTERVAL / count as u32;
        (0..count as u32).map(move |index| Self {
            address,
            connection: Connection::Kept,
            interval: POLITE_INTERVAL,
            pause: step * index,
        })
    }

    async fn scrape(self, until: Instant) -> Tally {
        sleep(self.pause).await;
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
            scrapes.spawn(async move { ask(&mut client).await });
        }
        let mut tally = Tally::default();
        while let Some(asked) = scrapes.join_next().await {
            tally.count(asked.expect("no scrape panics"));
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
            tally.count(ask(&mut client).await);
        }
    }
}

/// One scrape, which is lost when it takes too long.
async fn ask(client: &mut Kept) -> Asked {
    let asking = timeout(TIMEOUT, client.ask());
    Asked::by(async { asking.await.unwrap_or_else(|_| Err("too late".to_owned())) }).await
}

/// Begins scrapes for `duration`, then waits for the last answers.
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
