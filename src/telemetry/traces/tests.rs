use std::sync::atomic::{AtomicUsize, Ordering};

use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Sampler, SpanData, SpanExporter, SpanLimits},
};
use tokio::sync::mpsc;

use super::{Duration, Settings, TraceOutcome, TraceQueue};

/// Delivers every second trace, and panics on the others.
#[derive(Debug, Default)]
struct Panics(AtomicUsize);

impl SpanExporter for Panics {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        let traces = self.0.fetch_add(1, Ordering::Relaxed);
        assert!(traces % 2 == 1, "out of cheese");
        Ok(())
    }
}

fn queue(on_outcome: impl Fn(TraceOutcome) + Send + Sync + 'static) -> TraceQueue {
    let settings = Settings {
        resource: Resource::builder().build(),
        sampler: Sampler::AlwaysOn,
        limits: SpanLimits::default(),
        timeout: Duration::MAX,
    };
    TraceQueue::spawn(Panics::default(), settings, on_outcome)
}

fn trace(queue: &TraceQueue) {
    queue.provider().tracer("test").start("root").end();
}

#[tokio::test]
async fn a_panic_of_the_exporter_loses_its_trace_and_the_next_one_is_exported() {
    let (outcome, mut outcomes) = mpsc::unbounded_channel();
    let queue = queue(move |ended| outcome.send(ended).expect("the test listens"));
    for right in [
        TraceOutcome::Failed,
        TraceOutcome::Exported,
        TraceOutcome::Failed,
    ] {
        trace(&queue);
        assert_eq!(outcomes.recv().await, Some(right));
    }
    assert!(!queue.ended().is_cancelled());
    let why = queue.drain().await.expect_err("the last one has failed");
    let error = why.to_string();
    assert!(
        error.contains("exp-rkt-grpc panicked: out of cheese"),
        "{error}"
    );
}

#[tokio::test]
async fn the_end_of_the_exporters_task_is_reported_even_if_it_panics() {
    let queue = queue(|_| panic!("no more numbers"));
    let ended = queue.ended();
    assert!(!ended.is_cancelled());
    trace(&queue);
    ended.cancelled().await;
}
