//! Scrapes many times a second, counts what comes back, and says why what did not.
//!
//! Two kinds of clients: one that opens a connection for each request, at the times that the rate says whatever becomes of the
//! earlier ones; and one that keeps its connections, as Prometheus does, and asks again on a new one only when the server has
//! closed an idle one without a byte of an answer (RFC 9112, 9.3.1).

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
use client::ask_anew;
pub use tally::{Asked, Tally};

/// Connections of the clients that keep theirs.
const KEPT_CONNECTIONS: u32 = 4;

/// Requests that wait for their answers at a time: fewer than the socket's backlog holds. Where they are answered more slowly
/// than the rate says, the rate falls, so that no request is lost because the machine is busy.
const MAX_WAITING: usize = 2_048;

/// What is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Requests a second, each on a connection of its own.
    pub rate: u32,
    /// At least so many of them.
    pub requests: usize,
    /// Requests a second on connections that are kept.
    pub kept_rate: u32,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// With a connection for each request.
    pub fresh: Tally,
    /// With connections that are kept.
    pub kept: Tally,
}

/// What the load and those who act meanwhile tell each other.
#[derive(Debug, Default)]
pub struct Progress {
    sent: AtomicUsize,
    ended: AtomicUsize,
    acted: AtomicBool,
    more: (Mutex<()>, Condvar),
}

impl Progress {
    /// Waits until so many requests with a connection of their own were sent.
    pub fn wait_until_sent(&self, requests: usize) {
        self.wait_until(|| self.sent() >= requests);
    }

    /// Waits until as many have been answered, or lost, as were sent before this call.
    pub fn wait_until_answered(&self) {
        let sent = self.sent();
        self.wait_until(|| self.ended.load(Ordering::SeqCst) >= sent);
    }

    fn wait_until(&self, holds: impl Fn() -> bool) {
        let (lock, more) = &self.more;
        let guard = lock.lock().expect("nobody panics while holding it");
        let _guard = more
            .wait_while(guard, |()| !holds())
            .expect("nobody panics while holding it");
    }

    fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }

    /// What was to be done during the load is done: it ends when it has sent what it was to send.
    fn acted(&self) {
        self.acted.store(true, Ordering::SeqCst);
    }

    fn count(&self, of: &AtomicUsize) {
        let _guard = self.more.0.lock().expect("nobody panics while holding it");
        of.fetch_add(1, Ordering::SeqCst);
        self.more.1.notify_all();
    }

    fn is_over(&self, requests: usize) -> bool {
        self.acted.load(Ordering::SeqCst) && self.sent() >= requests
    }
}

impl Load {
    /// Puts this load on `/metrics` at `address` in the machine's network while `act` runs, and until all is sent and answered.
    ///
    /// When `act` panics, so does this, once the load has ended.
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
        // Those that were late are sent all the same.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut asking = JoinSet::new();
        let mut tally = Tally::default();
        while !progress.is_over(self.requests) {
            ticks.tick().await;
            if asking.len() >= MAX_WAITING
                && let Some(asked) = asking.join_next().await
            {
                progress.count(&progress.ended);
                tally.count(asked.expect("no client panics"));
            }
            progress.count(&progress.sent);
            asking.spawn(Asked::by(ask_anew(address)));
            while let Some(asked) = asking.try_join_next() {
                progress.count(&progress.ended);
                tally.count(asked.expect("no client panics"));
            }
        }
        while let Some(asked) = asking.join_next().await {
            tally.count(asked.expect("no client panics"));
        }
        tally
    }

    async fn send_kept(self, address: SocketAddr, progress: &Arc<Progress>) -> Tally {
        let mut clients = JoinSet::new();
        for _ in 0..KEPT_CONNECTIONS.min(self.kept_rate) {
            let progress = Arc::clone(progress);
            clients.spawn(self.keep_asking(address, progress));
        }
        let mut tally = Tally::default();
        while let Some(client) = clients.join_next().await {
            tally.add(client.expect("no client panics"));
        }
        tally
    }

    async fn keep_asking(self, address: SocketAddr, progress: Arc<Progress>) -> Tally {
        let pause = Duration::from_secs(1) * KEPT_CONNECTIONS / self.kept_rate;
        let mut client = Kept::new(address);
        let mut tally = Tally::default();
        while !progress.is_over(self.requests) {
            let began = Instant::now();
            tally.count(Asked::by(client.ask()).await);
            sleep_until(began + pause).await;
        }
        tally.asked_again = client.asked_again;
        tally
    }
}

/// Lets the load end, also when whoever acts panics.
struct Ends<'a>(&'a Progress);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.acted();
    }
}

#[cfg(test)]
mod tests;
