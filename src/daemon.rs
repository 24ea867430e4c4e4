//! The loop: waits for triggers, runs one event at a time, tells the watchdog that it is alive, and winds down when told to.

use std::{
    future::{Future, pending},
    pin::pin,
    time::Duration,
};

use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    notify::{self, FdStore},
    observe::{Observer, Trigger},
    signals::{Signals, Stops, Triggers},
};

/// How long a running query may go on once the service is told to stop.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

/// The loop and what it is made of.
#[derive(Debug)]
pub struct Daemon {
    /// Runs the events.
    pub observer: Observer,
    /// Query as soon as the loop runs.
    pub query_at_start: bool,
    /// How often the watchdog wants to hear from the loop.
    pub watchdog: Option<Duration>,
    /// Keeps the numbers for the next process.
    pub fd_store: FdStore,
    /// Cancelled when the service is told to stop.
    pub stopping: CancellationToken,
}

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything accepted was answered, or given up in order.
    Drained,
    /// A second signal cut that short.
    Aborted,
}

impl Daemon {
    /// Runs until a signal says stop; then the running query has its grace, and `wind_down` is awaited.
    pub async fn run(self, signals: Signals, wind_down: impl Future<Output = ()>) -> End {
        let Signals {
            triggers,
            mut stops,
        } = signals;
        let abandoned = CancellationToken::new();
        let mut watchdog = Watchdog::every(self.watchdog);
        let stopping = self.stopping.clone();
        let mut events = pin!(self.events(triggers, abandoned.clone()));

        let signal = watchdog
            .while_awaiting(async {
                tokio::select! {
                    signal = stops.next() => signal,
                    // The events end only once the service is stopping.
                    () = events.as_mut() => pending().await,
                }
            })
            .await;
        tracing::info!(name: "service stopping", signal, "stopping");
        notify::stopping();
        stopping.cancel();

        let drained = async {
            if timeout(DRAIN_GRACE, events.as_mut()).await.is_err() {
                abandoned.cancel();
                events.await;
            }
            wind_down.await;
        };
        watchdog
            .while_awaiting(drain_or_abort(drained, &mut stops))
            .await
    }

    /// One event after the other, until the service is stopping.
    ///
    /// Triggers that come during an event coalesce, so that they cause exactly one more after it.
    async fn events(mut self, mut triggers: Triggers, abandoned: CancellationToken) {
        let stopping = self.stopping.clone();
        if self.query_at_start {
            self.event(Trigger::Startup, &abandoned).await;
        }
        loop {
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = triggers.next() => {}
            }
            self.event(Trigger::Signal, &abandoned).await;
        }
    }

    async fn event(&mut self, trigger: Trigger, abandoned: &CancellationToken) {
        let event = self.observer.observe(trigger, abandoned.clone()).await;
        notify::status(&event.summary());
        self.fd_store.keep(&self.observer.record());
    }
}

async fn drain_or_abort(drained: impl Future<Output = ()>, stops: &mut Stops) -> End {
    tokio::select! {
        () = drained => End::Drained,
        signal = stops.next() => {
            tracing::warn!(signal, "aborted");
            End::Aborted
        }
    }
}

/// Tells systemd that the loop runs, as often as it wants to know; by the loop itself, so that a loop that is stuck is silent.
struct Watchdog(Option<Interval>);

impl Watchdog {
    fn every(period: Option<Duration>) -> Self {
        Self(period.map(|period| {
            let mut interval = interval(period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        }))
    }

    async fn while_awaiting<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let Some(interval) = &mut self.0 else {
            return work.await;
        };
        loop {
            tokio::select! {
                done = work.as_mut() => return done,
                _ = interval.tick() => notify::watchdog(),
            }
        }
    }
}
