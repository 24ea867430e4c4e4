//! Finished traces: collects the spans of each trace, and passes the trace to the exporter when its root ends.
//!
//! Unlike the SDK's batch processor, this needs no thread and no timer: a trace goes through a bounded queue to a task on the
//! service's runtime, which awaits the exporter. The first of several consecutive losses is logged as a warning.

use std::{pin::pin, sync::Arc, time::Duration};

use opentelemetry_sdk::{
    Resource,
    error::OTelSdkError,
    trace::{Sampler, SdkTracerProvider, SpanExporter, SpanLimits},
};
use thiserror::Error;
use tokio::{
    sync::mpsc::{self, Receiver},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{metrics::TraceOutcome, work};

mod collector;
mod escape;

use collector::{Collector, Dropped, Trace};

/// Capacity of the queue, in traces.
const QUEUE: usize = 64;

/// Settings of the provider, and of the exporter's task.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) resource: Resource,
    pub(super) sampler: Sampler,
    pub(super) limits: SpanLimits,
    /// Longest time for sending one trace.
    pub(super) timeout: Duration,
}

/// The tracer provider, and the task that exports its finished traces.
#[derive(Debug)]
pub(super) struct TraceQueue {
    provider: SdkTracerProvider,
    exporting: JoinHandle<Result<(), Undelivered>>,
    ended: CancellationToken,
}

/// Why the last trace was not delivered.
#[derive(Debug, Error)]
pub enum Undelivered {
    /// It was lost, or sending it timed out.
    #[error("{0}")]
    Lost(String),
    /// This signal arrived before its delivery was known.
    #[error("interrupted by {0}")]
    Interrupted(&'static str),
}

impl TraceQueue {
    /// Starts the exporter's task; must be called within the service's runtime.
    pub(super) fn spawn(
        mut exporter: impl SpanExporter + 'static,
        settings: Settings,
        on_outcome: impl Fn(TraceOutcome) + Send + Sync + 'static,
    ) -> Self {
        exporter.set_resource(&settings.resource);
        let (finished, queue) = mpsc::channel(QUEUE);
        let dropped = Arc::new(Dropped::default());
        let collector = Collector::new(finished, Arc::clone(&dropped));
        let outcomes = Outcomes {
            losses: None,
            on_outcome: Box::new(on_outcome),
        };
        let ended = CancellationToken::new();
        let at_the_end = ended.clone().drop_guard();
        Self {
            provider: SdkTracerProvider::builder()
                .with_resource(settings.resource)
                .with_sampler(settings.sampler)
                .with_span_limits(settings.limits)
                .with_span_processor(collector)
                .build(),
            exporting: tokio::spawn(async move {
                let _at_the_end = at_the_end;
                export(exporter, settings.timeout, queue, dropped, outcomes).await
            }),
            ended,
        }
    }

    /// Cancelled when the exporter's task has ended, by a panic too.
    pub(super) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    pub(super) fn provider(&self) -> &SdkTracerProvider {
        &self.provider
    }

    /// Accepts no more traces, and waits until the queued ones are sent. The caller sets the limit.
    pub(super) async fn drain(self) -> Result<(), Undelivered> {
        if let Err(error) = self.provider.shutdown() {
            tracing::debug!(%error, "tracer provider not shut down");
        }
        self.exporting.await.unwrap_or_else(|error| {
            Err(Undelivered::Lost(format!("exporter's task lost: {error}")))
        })
    }
}

/// Exports traces one by one until the queue is closed, and reports those that did not fit into it.
///
/// A panic loses only its trace: the exporters' state is consistent, or is rebuilt for the next trace.
async fn export(
    exporter: impl SpanExporter,
    limit: Duration,
    mut queue: Receiver<Trace>,
    dropped: Arc<Dropped>,
    mut outcomes: Outcomes,
) -> Result<(), Undelivered> {
    while let Some(trace) = queue.recv().await {
        let trace = trace.into_iter().map(escape::span).collect();
        let exported = work::caught(async { exporter.export(trace).await });
        let mut exported = pin!(timeout(limit, exported));
        let outcome = loop {
            tokio::select! {
                biased;
                () = dropped.any.notified() => outcomes.dropped(dropped.take()),
                outcome = exported.as_mut() => break outcome,
            }
        };
        match outcome {
            Ok(Ok(Ok(()))) => outcomes.exported(),
            Ok(Ok(Err(error))) => outcomes.failed(error_text(error)),
            Ok(Err(panic)) => outcomes.failed(panic.to_string()),
            Err(_) => outcomes.failed(format!("not sent within {limit:?}")),
        }
    }
    outcomes.dropped(dropped.take());
    outcomes
        .losses
        .map_or(Ok(()), |losses| Err(Undelivered::Lost(losses.error)))
}

/// The exporter's own error text.
fn error_text(error: OTelSdkError) -> String {
    match error {
        OTelSdkError::InternalFailure(text) => text,
        other => other.to_string(),
    }
}

/// Counts and logs the outcomes of traces.
struct Outcomes {
    losses: Option<Losses>,
    on_outcome: Box<dyn Fn(TraceOutcome) + Send + Sync>,
}

/// Consecutive traces that were lost.
struct Losses {
    traces: u64,
    /// Why the last one was lost.
    error: String,
}

impl Outcomes {
    fn exported(&mut self) {
        (self.on_outcome)(TraceOutcome::Exported);
        if let Some(losses) = self.losses.take() {
            tracing::info!(lost = losses.traces, "traces exported again");
        }
    }

    fn failed(&mut self, error: String) {
        (self.on_outcome)(TraceOutcome::Failed);
        self.lost(1, error);
    }

    fn dropped(&mut self, traces: u64) {
        for _ in 0..traces {
            (self.on_outcome)(TraceOutcome::Dropped);
        }
        if traces > 0 {
            self.lost(
                traces,
                format!("{QUEUE} traces are waiting to be sent already"),
            );
        }
    }

    fn lost(&mut self, traces: u64, error: String) {
        match &mut self.losses {
            Some(losses) => {
                tracing::debug!(error, traces, "trace not exported");
                losses.traces += traces;
                losses.error = error;
            }
            None => {
                tracing::warn!(error, traces, "trace not exported");
                self.losses = Some(Losses { traces, error });
            }
        }
    }
}

#[cfg(test)]
mod tests;
