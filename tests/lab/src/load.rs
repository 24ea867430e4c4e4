//! Scrapes many times a second, counts the responses, and records why requests failed.
//!
//! There are two kinds of clients. The first kind opens a connection for each request, at a fixed rate that does not depend on
//! earlier requests. The second kind keeps its connections, like Prometheus. It repeats a request on a new connection only if the
//! server has closed an idle connection without sending any byte of a response (RFC 9112, 9.3.1).

mod client;
mod tally;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::machine::Machine;
pub use client::Kept;
use client::scrape_once;
pub use tally::{Exchange, Tally};

/// The number of kept connections.
const KEPT_CONNECTIONS: u32 = 4;

/// Maximum number of pending requests; less than the socket's backlog. If responses are slower than the rate, the rate drops, so
/// that no request is lost because the machine is busy.
const MAX_PENDING: usize = 2_048;

/// The requests to send.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Requests per second, each on a new connection.
    pub rate: u32,
    /// The minimum number of these requests.
    pub requests: usize,
    /// Requests per second on kept connections.
    pub kept_rate: u32,
}

/// The results of the requests.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Results with a new connection for each request.
    pub fresh: Tally,
    /// Results with kept connections.
    pub kept: Tally,
}

/// Synchronizes the load with the test that acts meanwhile.
#[derive(Debug, Default)]
pub struct Progress {
    sent: AtomicUsize,
    ended: AtomicUsize,
    acted: AtomicBool,
    more: (Mutex<()>, Condvar),
}

impl Progress {
    /// Waits until this many requests on new connections have been sent.
    pub fn wait_until_sent(&self, requests: usize) {
        self.wait_until(|| self.sent() >= requests);
    }

    /// Waits until the number of answered or failed requests has reached the number of requests sent before this call.
    pub fn wait_until_answered(&self) {
        let sent = self.sent();
        self.wait_until(|| self.ended.load(Ordering::SeqCst) >= sent);
    }

    fn wait_until(&self, holds: impl Fn() -> bool) {
        let (lock, more) = &self.more;
        let guard = lock
            .lock()
            .expect("no thread panics while it holds the lock");
        let _guard = more
            .wait_while(guard, |()| !holds())
            .expect("no thread panics while it holds the lock");
    }

    fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }

    /// The test's action is complete: the load ends as soon as it has sent the minimum number of requests.
    fn acted(&self) {
        self.acted.store(true, Ordering::SeqCst);
    }

    fn count(&self, counter: &AtomicUsize) {
        let _guard = self
            .more
            .0
            .lock()
            .expect("no thread panics while it holds the lock");
        counter.fetch_add(1, Ordering::SeqCst);
        self.more.1.notify_all();
    }

    fn is_over(&self, requests: usize) -> bool {
        self.acted.load(Ordering::SeqCst) && self.sent() >= requests
    }
}

impl Load {
    /// Puts this load on `/metrics` at `address` in the machine's network while `act` runs, and until all requests have been sent
    /// and answered.
    ///
    /// If `act` panics, this panics, too, after the load has ended.
    pub fn during<T>(
        self,
        machine: &Machine,
        address: SocketAddr,
        act: impl FnOnce(&Progress) -> T,
    ) -> (Report, T) {
        let progress = Arc::new(Progress::default());
        thread::scope(|scope| {
            let sending = Arc::clone(&progress);
            let sender = scope.spawn(move || machine.network(|| self.send(address, &sending)));
            let ends = Ends(&progress);
            let acted = act(&progress);
            drop(ends);
            let report = sender.join().expect("the load generator does not panic");
            (report, acted)
        })
    }

    fn send(self, address: SocketAddr, progress: &Arc<Progress>) -> Report {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime needs a few file descriptors")
            .block_on(async {
                let (fresh, kept) = tokio::join!(
                    self.send_fresh(address, progress),
                    self.send_kept(address, progress)
                );
                Report { fresh, kept }
            })
    }

    async fn send_fresh(self, address: SocketAddr, progress: &Progress) -> Tally {
        let mut ticks = interval(Duration::from_secs(1) / self.rate);
        // Late requests are not skipped.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut pending = JoinSet::new();
        let mut tally = Tally::default();
        while !progress.is_over(self.requests) {
            ticks.tick().await;
            if pending.len() >= MAX_PENDING
                && let Some(exchange) = pending.join_next().await
            {
                progress.count(&progress.ended);
                tally.count(exchange.expect("the client does not panic"));
            }
            progress.count(&progress.sent);
            pending.spawn(Exchange::of(scrape_once(address)));
            while let Some(exchange) = pending.try_join_next() {
                progress.count(&progress.ended);
                tally.count(exchange.expect("the client does not panic"));
            }
        }
        while let Some(exchange) = pending.join_next().await {
            tally.count(exchange.expect("the client does not panic"));
        }
        tally
    }

    async fn send_kept(self, address: SocketAddr, progress: &Arc<Progress>) -> Tally {
        let mut clients = JoinSet::new();
        for _ in 0..KEPT_CONNECTIONS.min(self.kept_rate) {
            let progress = Arc::clone(progress);
            clients.spawn(self.scrape_repeatedly(address, progress));
        }
        let mut tally = Tally::default();
        while let Some(client) = clients.join_next().await {
            tally.add(client.expect("the client does not panic"));
        }
        tally
    }

    async fn scrape_repeatedly(self, address: SocketAddr, progress: Arc<Progress>) -> Tally {
        let pause = Duration::from_secs(1) * KEPT_CONNECTIONS / self.kept_rate;
        let mut client = Kept::new(address);
        let mut tally = Tally::default();
        while !progress.is_over(self.requests) {
            let began = Instant::now();
            tally.count(Exchange::of(client.scrape()).await);
            sleep_until(began + pause).await;
        }
        tally.retries = client.retries;
        tally
    }
}

/// Ends the load, even if `act` panics.
struct Ends<'a>(&'a Progress);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.acted();
    }
}

#[cfg(test)]
mod tests;
