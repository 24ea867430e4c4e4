//! The loop: waits for triggers, runs one event at a time, notifies the watchdog, and stops on a signal.

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

/// How long a running query may continue after a stop signal.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

/// The loop and its parts.
#[derive(Debug)]
pub struct Daemon {
    /// Runs the events.
    pub observer: Observer,
    /// Query as soon as the loop starts.
    pub query_at_start: bool,
    /// Interval of the watchdog notifications; `None` without a watchdog.
    pub watchdog: Option<Duration>,
    /// Notifies systemd.
    pub notifier: Notifier,
    /// Keeps the state for the next process.
    pub fd_store: FdStore,
    /// Cancelled when the service begins to stop.
    pub stopping: CancellationToken,
}

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything accepted was answered, or cancelled after its time limit.
    Drained,
    /// A second stop signal arrived before that.
    Aborted,
}

/// A task that the service needs has ended without a stop signal.
#[derive(Debug, Error)]
#[error("the {task} ended while the service was running")]
pub struct TaskEnded {
    task: &'static str,
    source: Option<JoinError>,
}

impl TaskEnded {
    /// The name of the task, and its panic if it panicked.
    #[must_use]
    pub fn new(task: &'static str, source: Option<JoinError>) -> Self {
        Self { task, source }
    }

    /// Logs a panic. Any other end of the task is expected once the service stops.
    fn warn_of_panic(self) {
        if let Some(error) = self.source {
            tracing::error!(task = self.task, %error, "task lost");
        }
    }
}

impl Daemon {
    /// Runs until a stop signal, then gives the running query its grace period and awaits `task` and `wind_down`.
    ///
    /// # Errors
    ///
    /// When `task` ends before a stop signal: the service cannot work without it, and systemd should start it again. The running
    /// query is cancelled then.
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
                    // `events` ends only after a stop signal.
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

    /// Runs one event after another until the service is stopping. Triggers that arrive during an event cause exactly one more.
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

/// Waits for the running event, and cancels it after the grace period.
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

/// Sends watchdog notifications from the loop itself, so that a stuck loop sends none.
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
