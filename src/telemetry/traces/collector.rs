//! Collects the spans of each trace until its root ends.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::{
    Context, KeyValue,
    trace::{Span as _, SpanId, TraceContextExt, TraceId},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};
use tokio::sync::{Notify, mpsc::Sender};

/// Most spans of one trace that are kept; the others are only counted.
const MAX_SPANS: usize = 512;

/// The root's attribute for the number of missing spans, named as OpenTelemetry names dropped counts where a protocol has no field
/// for them.
const DROPPED_SPANS: &str = "otel.dropped_spans_count";

/// The spans of one trace.
pub(super) type Trace = Vec<SpanData>;

/// Number of traces that the queue had no room for and that are not yet reported.
#[derive(Debug, Default)]
pub(super) struct Dropped {
    traces: AtomicU64,
    pub(super) any: Notify,
}

impl Dropped {
    fn add(&self) {
        self.traces.fetch_add(1, Ordering::Relaxed);
        self.any.notify_one();
    }

    pub(super) fn take(&self) -> u64 {
        self.traces.swap(0, Ordering::Relaxed)
    }
}

/// Collects spans until their root ends.
pub(super) struct Collector {
    open: Mutex<HashMap<TraceId, Open>>,
    finished: Mutex<Option<Sender<Trace>>>,
    dropped: Arc<Dropped>,
}

/// A trace whose root has not ended.
#[derive(Debug, Default)]
struct Open {
    spans: Trace,
    /// Number of spans beyond the limit.
    dropped: i64,
}

impl Open {
    fn add(&mut self, span: SpanData) {
        if self.spans.len() < MAX_SPANS {
            self.spans.push(span);
        } else {
            self.dropped += 1;
        }
    }

    /// Adds the root, which is never dropped.
    fn finish(mut self, mut root: SpanData) -> Trace {
        if self.dropped > 0 {
            let dropped = KeyValue::new(DROPPED_SPANS, self.dropped);
            root.attributes.push(dropped);
        }
        self.spans.push(root);
        self.spans
    }
}

impl Collector {
    /// Finished traces go to `finished`; those that do not fit into it are counted in `dropped`.
    pub(super) fn new(finished: Sender<Trace>, dropped: Arc<Dropped>) -> Self {
        Self {
            open: Mutex::default(),
            finished: Mutex::new(Some(finished)),
            dropped,
        }
    }

    fn finish(&self, trace: Trace) {
        let sent = lock(&self.finished)
            .as_ref()
            .is_some_and(|finished| finished.try_send(trace).is_ok());
        if !sent {
            // Not logged here: this runs while a span ends.
            self.dropped.add();
        }
    }
}

impl SpanProcessor for Collector {
    fn on_start(&self, span: &mut Span, context: &Context) {
        if !context.has_active_span() {
            lock(&self.open).insert(span.span_context().trace_id(), Open::default());
        }
    }

    fn on_end(&self, span: SpanData) {
        let id = span.span_context.trace_id();
        let is_root = span.parent_span_id == SpanId::INVALID;
        let mut open = lock(&self.open);
        let finished = match open.get_mut(&id) {
            Some(_) if is_root => open.remove(&id).map(|open| open.finish(span)),
            Some(open) => {
                open.add(span);
                None
            }
            // Its root has already ended and been sent.
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

/// The guarded data is consistent even after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
