//! Finished traces: collects the spans of each trace and, when its root ends, hands the whole to one exporter.
//!
//! The SDK's batch processor has a thread and a timer of its own; this one has neither. A trace goes through a bounded queue to a
//! task on the service's runtime, which awaits the exporter. The first trace lost in a row is a warning.

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

/// Traces that wait for the exporter.
const QUEUE: usize = 64;

/// What is traced, and how long it may take to be sent.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) resource: Resource,
    pub(super) sampler: Sampler,
    pub(super) limits: SpanLimits,
    /// Longest time one trace may take.
    pub(super) timeout: Duration,
}

/// The tracer provider, and the task that its finished traces go to.
#[derive(Debug)]
pub(super) struct TraceQueue {
    provider: SdkTracerProvider,
    exporting: JoinHandle<Result<(), Undelivered>>,
    ended: CancellationToken,
}

/// Why the last trace was not delivered.
#[derive(Debug, Error)]
pub enum Undelivered {
    /// It was lost, or given up.
    #[error("{0}")]
    Lost(String),
    /// This signal came before it was known to be delivered.
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
        let ends = Ends {
            row: None,
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
                export(exporter, settings.timeout, queue, dropped, ends).await
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

    /// Takes no more traces and waits until the queued ones are sent. The caller sets the limit.
    pub(super) async fn drain(self) -> Result<(), Undelivered> {
        if let Err(error) = self.provider.shutdown() {
            tracing::debug!(%error, "tracer provider not shut down");
        }
        self.exporting.await.unwrap_or_else(|error| {
            Err(Undelivered::Lost(format!("exporter's task lost: {error}")))
        })
    }
}

/// Exports one trace after the other until the queue is closed, and reports those that the queue had no room for.
///
/// A panic costs its trace: what exporters keep from one to the next is put back whole, or made anew.
async fn export(
    exporter: impl SpanExporter,
    limit: Duration,
    mut queue: Receiver<Trace>,
    dropped: Arc<Dropped>,
    mut ends: Ends,
) -> Result<(), Undelivered> {
    while let Some(trace) = queue.recv().await {
        let trace = trace.into_iter().map(escape::span).collect();
        let exported = work::caught(async { exporter.export(trace).await });
        let mut exported = pin!(timeout(limit, exported));
        let outcome = loop {
            tokio::select! {
                biased;
                () = dropped.any.notified() => ends.dropped(dropped.take()),
                outcome = exported.as_mut() => break outcome,
            }
        };
        match outcome {
            Ok(Ok(Ok(()))) => ends.exported(),
            Ok(Ok(Err(error))) => ends.failed(words(error)),
            Ok(Err(panic)) => ends.failed(panic.to_string()),
            Err(_) => ends.failed(format!("not sent within {limit:?}")),
        }
    }
    ends.dropped(dropped.take());
    ends.row
        .map_or(Ok(()), |row| Err(Undelivered::Lost(row.error)))
}

/// The exporter's own error text.
fn words(error: OTelSdkError) -> String {
    match error {
        OTelSdkError::InternalFailure(words) => words,
        other => other.to_string(),
    }
}

/// Counts and logs what becomes of traces.
struct Ends {
    row: Option<Row>,
    on_outcome: Box<dyn Fn(TraceOutcome) + Send + Sync>,
}

/// Traces that were lost one after the other.
struct Row {
    traces: u64,
    /// Why the last one was.
    error: String,
}

impl Ends {
    fn exported(&mut self) {
        (self.on_outcome)(TraceOutcome::Exported);
        if let Some(row) = self.row.take() {
            tracing::info!(lost = row.traces, "traces exported again");
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
        match &mut self.row {
            Some(row) => {
                tracing::debug!(error, traces, "trace not exported");
                row.traces += traces;
                row.error = error;
            }
            None => {
                tracing::warn!(error, traces, "trace not exported");
                self.row = Some(Row { traces, error });
            }
        }
    }
}

#[cfg(test)]
mod tests;
