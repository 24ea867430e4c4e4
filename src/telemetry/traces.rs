//! Finished traces: collects the spans of each trace and, when its root ends, hands the whole to one exporter.
//!
//! The SDK's batch processor has a thread and a timer of its own; this one has neither. A trace goes through a bounded queue to a
//! task on the service's runtime, which awaits the exporter.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use opentelemetry::{
    Context,
    trace::{Span as _, SpanId, TraceId},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor},
};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Traces that wait for the exporter.
const QUEUE: usize = 64;

/// Spans that are kept of one trace; what comes beyond is not recorded.
const MAX_SPANS: usize = 512;

/// Longest time one trace may take to be sent.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// What became of a finished trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The exporter delivered it.
    Exported,
    /// The exporter could not deliver it.
    Failed,
    /// Too many were waiting.
    Dropped,
}

/// The tracer provider, and the task that its finished traces go to.
#[derive(Debug)]
pub(super) struct TraceQueue {
    provider: SdkTracerProvider,
    exporting: JoinHandle<()>,
    ended: CancellationToken,
}

impl TraceQueue {
    /// Starts the exporter's task; must be called within the service's runtime.
    pub(super) fn spawn(
        mut exporter: impl SpanExporter + 'static,
        resource: Resource,
        on_outcome: impl Fn(Outcome) + Send + Sync + 'static,
    ) -> Self {
        exporter.set_resource(&resource);
        let on_outcome: OnOutcome = Arc::new(on_outcome);
        let (finished, queue) = mpsc::channel(QUEUE);
        let collector = Collector {
            open: Mutex::default(),
            finished: Mutex::new(Some(finished)),
            on_outcome: Arc::clone(&on_outcome),
        };
        let ended = CancellationToken::new();
        let at_the_end = ended.clone().drop_guard();
        Self {
            provider: SdkTracerProvider::builder()
                .with_resource(resource)
                .with_span_processor(collector)
                .build(),
            exporting: tokio::spawn(async move {
                let _at_the_end = at_the_end;
                export(exporter, queue, on_outcome).await;
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
    pub(super) async fn drain(self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::debug!(%error, "tracer provider not shut down");
        }
        if let Err(error) = self.exporting.await {
            tracing::debug!(%error, "exporter's task lost");
        }
    }
}

type OnOutcome = Arc<dyn Fn(Outcome) + Send + Sync>;
type Trace = Vec<SpanData>;

async fn export(exporter: impl SpanExporter, mut queue: Receiver<Trace>, on_outcome: OnOutcome) {
    while let Some(trace) = queue.recv().await {
        let outcome = match timeout(EXPORT_TIMEOUT, exporter.export(trace)).await {
            Ok(Ok(())) => Outcome::Exported,
            Ok(Err(error)) => {
                tracing::debug!(%error, "trace not exported");
                Outcome::Failed
            }
            Err(_) => {
                tracing::debug!(timeout = ?EXPORT_TIMEOUT, "trace not exported in time");
                Outcome::Failed
            }
        };
        on_outcome(outcome);
    }
}

/// Collects spans until their root ends.
struct Collector {
    open: Mutex<HashMap<TraceId, Trace>>,
    finished: Mutex<Option<Sender<Trace>>>,
    on_outcome: OnOutcome,
}

impl Collector {
    fn finish(&self, trace: Trace) {
        let sent = lock(&self.finished)
            .as_ref()
            .is_some_and(|finished| finished.try_send(trace).is_ok());
        if !sent {
            (self.on_outcome)(Outcome::Dropped);
        }
    }
}

impl SpanProcessor for Collector {
    fn on_start(&self, span: &mut Span, context: &Context) {
        use opentelemetry::trace::TraceContextExt;
        if !context.has_active_span() {
            lock(&self.open).insert(span.span_context().trace_id(), Trace::new());
        }
    }

    fn on_end(&self, span: SpanData) {
        let id = span.span_context.trace_id();
        let is_root = span.parent_span_id == SpanId::INVALID;
        let mut open = lock(&self.open);
        let finished = match open.get_mut(&id) {
            Some(spans) => {
                // The root is never the one left out.
                if is_root || spans.len() < MAX_SPANS {
                    spans.push(span);
                }
                if is_root { open.remove(&id) } else { None }
            }
            // Its root has ended before it, and is gone.
            None => Some(vec![span]),
        };
        drop(open);
        if let Some(trace) = finished {
            self.finish(trace);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        lock(&self.finished).take();
        Ok(())
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector")
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

/// What these mutexes guard is whole at every moment, also after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::{
        Resource,
        error::OTelSdkResult,
        trace::{SpanData, SpanExporter},
    };

    use super::TraceQueue;

    #[derive(Debug)]
    struct Panics;

    impl SpanExporter for Panics {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            panic!("out of cheese")
        }
    }

    #[tokio::test]
    async fn the_end_of_the_exporter_s_task_is_heard_of_though_it_panics() {
        let queue = TraceQueue::spawn(Panics, Resource::builder().build(), |_| {});
        let ended = queue.ended();
        assert!(!ended.is_cancelled());
        queue.provider().tracer("test").start("root").end();
        ended.cancelled().await;
    }
}
