//! The loop: waits for triggers, runs one event at a time, tells the watchdog that it is alive, and winds down when told to.

use std::{
    future::{Future, pending},
    pin::{Pin, pin},
    time::Duration,
};

use thiserror::Error;
use tokio::{
    task::JoinError,
    time::{Interval, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    notify::{FdStore, Notifier},
    observe::{Observer, Trigger},
    signals::{Signals, Stops, Triggers},
};

mod predecessor;

pub use predecessor::take_over;

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
    /// Tells systemd.
    pub notifier: Notifier,
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

/// A task that the service cannot do without has ended, though nobody had told it to.
#[derive(Debug, Error)]
#[error("the {task} has ended while the service ran")]
pub struct TaskEnded {
    task: &'static str,
    source: Option<JoinError>,
}

impl TaskEnded {
    /// Which task it was, and what it panicked of if it did.
    #[must_use]
    pub fn new(task: &'static str, source: Option<JoinError>) -> Self {
        Self { task, source }
    }

    /// At the end of the service the task's end is in order, unless it was a panic.
    fn warn_of_panic(self) {
        if let Some(error) = self.source {
            tracing::error!(task = self.task, %error, "task lost");
        }
    }
}

impl Daemon {
    /// Runs until a signal says stop; then the running query has its grace, and `task` and `wind_down` are awaited.
    ///
    /// # Errors
    ///
    /// When `task`, which must run for as long as the service does, ends before that: systemd is to start another service rather
    /// than keep one that is deaf. The running query is abandoned then.
    pub async fn run(
        self,
        signals: Signals,
        task: impl Future<Output = TaskEnded>,
        wind_down: impl Future<Output = ()>,
    ) -> Result<End, TaskEnded> {
        let Signals {
            triggers,
            mut stops,
        } = signals;
        let abandoned = CancellationToken::new();
        let notifier = self.notifier.clone();
        let mut watchdog = Watchdog::every(self.watchdog, notifier.clone());
        let stopping = self.stopping.clone();
        let (kept, fd_store) = (self.observer.kept(), self.fd_store.clone());
        let mut events = pin!(self.events(triggers, abandoned.clone()));
        let mut task = pin!(task);

        let reason = watchdog
            .while_awaiting(async {
                tokio::select! {
                    signal = stops.next() => Ok(signal),
                    ended = task.as_mut() => Err(ended),
                    // The events end only once the service is stopping.
                    () = events.as_mut() => pending().await,
                }
            })
            .await;
        stopping.cancel();
        let lost = match reason {
            Ok(signal) => {
                tracing::info!(name: "service stopping", signal, "stopping");
                notifier.stopping();
                kept.run().asked_to_end();
                fd_store.keep(&kept.record(), &kept.short_record());
                None
            }
            Err(ended) => {
                abandoned.cancel();
                Some(ended)
            }
        };

        let drained = async {
            give_grace(events, &abandoned).await;
            if lost.is_none() {
                task.await.warn_of_panic();
            }
            wind_down.await;
        };
        let end = watchdog
            .while_awaiting(drain_or_abort(drained, &mut stops))
            .await;
        lost.map_or(Ok(end), Err)
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
        if !event.was_abandoned() {
            self.notifier.status(&event.summary());
        }
        if !event.is_void() {
            let kept = self.observer.kept();
            self.fd_store.keep(&kept.record(), &kept.short_record());
        }
    }
}

/// The running event may end by itself, for as long as the grace is.
async fn give_grace(mut events: Pin<&mut impl Future<Output = ()>>, abandoned: &CancellationToken) {
    if timeout(DRAIN_GRACE, events.as_mut()).await.is_err() {
        abandoned.cancel();
        events.await;
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
struct Watchdog {
    interval: Option<Interval>,
    notifier: Notifier,
}

impl Watchdog {
    fn every(period: Option<Duration>, notifier: Notifier) -> Self {
        let interval = period.map(|period| {
            let mut interval = interval(period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        Self { interval, notifier }
    }

    async fn while_awaiting<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let Some(interval) = &mut self.interval else {
            return work.await;
        };
        loop {
            tokio::select! {
                done = work.as_mut() => return done,
                _ = interval.tick() => self.notifier.watchdog(),
            }
        }
    }
}
