//! The clients whose scrapes are measured.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use lab::load::Kept;
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

/// What came of many scrapes.
#[derive(Default)]
pub(super) struct Outcome {
    /// Lost ones count as if they had taken [`TIMEOUT`].
    pub(super) latencies: Vec<Duration>,
    lost: BTreeMap<String, usize>,
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

    async fn scrape(self, until: Instant) -> Outcome {
        sleep(self.pause).await;
        match self.connection {
            Connection::Fresh => self.scrape_afresh(until).await,
            Connection::Kept => self.keep_scraping(until).await,
        }
    }

    async fn scrape_afresh(self, until: Instant) -> Outcome {
        let mut scrapes = JoinSet::new();
        let mut turns = interval(self.interval);
        while turns.tick().await < until {
            let mut client = Kept::new(self.address);
            scrapes.spawn(async move { ask(&mut client).await });
        }
        let mut outcome = Outcome::default();
        while let Some(asked) = scrapes.join_next().await {
            outcome.count(asked.expect("no scrape panics"));
        }
        outcome
    }

    async fn keep_scraping(self, until: Instant) -> Outcome {
        let mut outcome = Outcome::default();
        let mut client = Kept::new(self.address);
        let mut turns = interval(self.interval);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            if Instant::now() >= until {
                return outcome;
            }
            outcome.count(ask(&mut client).await);
        }
    }
}

/// How long it took, or why it was lost.
async fn ask(client: &mut Kept) -> Result<Duration, String> {
    let began = Instant::now();
    match timeout(TIMEOUT, client.ask()).await {
        Ok(asked) => asked.map(|()| began.elapsed()),
        Err(_) => Err("too late".to_owned()),
    }
}

/// Begins scrapes for `duration`, then waits for the last answers.
pub(super) fn run(scrapers: Vec<Scraper>, duration: Duration) -> Outcome {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs a few descriptors");
    runtime.block_on(async {
        let until = Instant::now() + duration;
        let mut scraping: JoinSet<Outcome> = scrapers
            .into_iter()
            .map(|scraper| scraper.scrape(until))
            .collect();
        let mut all = Outcome::default();
        while let Some(outcome) = scraping.join_next().await {
            all.add(outcome.expect("no scraper panics"));
        }
        all
    })
}

impl Outcome {
    pub(super) fn lost(&self) -> usize {
        self.lost.values().sum()
    }

    pub(super) fn answered(&self) -> usize {
        self.latencies.len() - self.lost()
    }

    /// How many were lost, and why.
    pub(super) fn losses(&self) -> String {
        let reasons: Vec<String> = self
            .lost
            .iter()
            .map(|(why, count)| format!("{count} {why}"))
            .collect();
        if reasons.is_empty() {
            return "0".to_owned();
        }
        format!("{}: {}", self.lost(), reasons.join(", "))
    }

    fn count(&mut self, asked: Result<Duration, String>) {
        self.latencies.push(asked.unwrap_or_else(|why| {
            *self.lost.entry(why).or_default() += 1;
            TIMEOUT
        }));
    }

    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        for (why, count) in other.lost {
            *self.lost.entry(why).or_default() += count;
        }
    }
}
