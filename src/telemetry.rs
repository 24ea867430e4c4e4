//! Logs and traces: one subscriber of a filter, a log (journal or standard error), and the export of finished traces.

use std::{future::pending, io, time::Duration};

use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_sdk::{
    Resource,
    resource::TelemetryResourceDetector,
    trace::{SdkTracerProvider, SpanExporter},
};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, filter::Targets, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt,
};

use crate::{
    REVISION,
    metrics::{Metrics, TraceOutcome},
};

mod jaeger;
mod log;
mod otlp;
mod panics;
mod settings;
mod traces;

pub(crate) use settings::{OtlpConfig, TraceExport, TracesConfig};
pub(crate) use traces::Undelivered;

use jaeger::JaegerExporter;
use log::{Format, Log};
use otlp::OtlpExporter;
use traces::{Settings, TraceQueue};

/// Longest time for sending one trace to a Jaeger agent; only the lookup of its name takes long.
const AGENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time for sending the last traces when the service stops.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest time for writing the last log lines when the program ends.
const LAST_LINES_TIMEOUT: Duration = Duration::from_secs(1);

/// Target of the crate's own spans. Spans of libraries, including the exporters', are not traced.
const OWN_TARGET: &str = env!("CARGO_CRATE_NAME");

/// The running log and trace export; must be flushed before the program ends. Dropping it writes the last log lines, for at most a
/// second; lost ones are reported on standard error if that does not block.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<TraceQueue>,
    log: Log,
}

/// The thread that writes the log cannot be started.
#[derive(Debug, Error)]
#[error("cannot start the thread that writes the log")]
pub struct TelemetryError(#[source] io::Error);

/// Installs the process's subscriber and panic hook. Must be called once, within the service's runtime.
///
/// `metrics` count finished traces and lost log lines.
///
/// # Errors
///
/// When the log's thread cannot be started.
pub fn start(
    filter: &Targets,
    traces: &TracesConfig,
    metrics: Metrics,
) -> Result<Telemetry, TelemetryError> {
    let lines = metrics.clone();
    let on_trace = move |outcome| metrics.trace_ended(outcome);
    let queue = traces
        .export
        .as_ref()
        .map(|export| export_to(export, traces, on_trace));
    let (layer, log) = log::start(
        filter.clone(),
        Format::Lines,
        LAST_LINES_TIMEOUT,
        move || lines.log_line_dropped(),
    )
    .map_err(TelemetryError)?;
    tracing_subscriber::registry()
        .with(queue.as_ref().map(|queue| trace_layer(queue.provider())))
        .with(layer.with_filter(filter.clone()))
        .init();
    panics::log();
    Ok(Telemetry { traces: queue, log })
}

/// Logs why the program ends, without a [`Telemetry`]: `log` emits one event with the field `error`, which may have several lines.
/// Waits until the event is written, for at most a second.
///
/// On standard error only the program's name and that field are written.
///
/// # Errors
///
/// When the log's thread cannot be started; nothing is logged then.
pub(crate) fn last_words(log: impl FnOnce()) -> io::Result<()> {
    let (layer, writing) = log::start(own(), Format::LastWords, LAST_LINES_TIMEOUT, || ())?;
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, log);
    drop(writing);
    Ok(())
}

impl Telemetry {
    /// Waits until the exporter's task or the log's thread ends, and returns its name. Only [`Telemetry::flush`] and dropping
    /// should end them.
    pub fn ended(&self) -> impl Future<Output = &'static str> + use<> {
        let exporter = self.traces.as_ref().map(TraceQueue::ended);
        let log = self.log.ended();
        async move {
            tokio::select! {
                () = cancelled(exporter) => "exporter of traces",
                () = log.cancelled() => "thread that writes the log",
            }
        }
    }

    /// Sends the queued traces, for at most two seconds. Later traces are not sent.
    ///
    /// # Errors
    ///
    /// When the last trace was not delivered, which is also logged.
    pub async fn flush(&mut self) -> Result<(), Undelivered> {
        match self.traces.take() {
            Some(traces) => drained(traces).await,
            None => Ok(()),
        }
    }
}

async fn drained(traces: TraceQueue) -> Result<(), Undelivered> {
    let drained = tokio::time::timeout(FLUSH_TIMEOUT, traces.drain()).await;
    drained.unwrap_or_else(|_| {
        tracing::warn!("traces not sent in time");
        Err(Undelivered::Lost(format!(
            "not sent within {FLUSH_TIMEOUT:?}"
        )))
    })
}

/// Waits until the token is cancelled; without a token, for ever.
async fn cancelled(token: Option<CancellationToken>) {
    match token {
        Some(token) => token.cancelled().await,
        None => pending().await,
    }
}

fn export_to(
    export: &TraceExport,
    config: &TracesConfig,
    on_outcome: impl Fn(TraceOutcome) + Send + Sync + 'static,
) -> TraceQueue {
    match export {
        TraceExport::Jaeger { host, port } => {
            let exporter = JaegerExporter::new(host, *port);
            queue(exporter, config, AGENT_TIMEOUT, on_outcome)
        }
        TraceExport::Otlp(otlp) => {
            let exporter = OtlpExporter::new(otlp);
            queue(exporter, config, otlp.timeout, on_outcome)
        }
    }
}

fn queue(
    exporter: impl SpanExporter + 'static,
    config: &TracesConfig,
    timeout: Duration,
    on_outcome: impl Fn(TraceOutcome) + Send + Sync + 'static,
) -> TraceQueue {
    let settings = Settings {
        resource: resource(config),
        sampler: config.sampler.clone(),
        limits: config.limits,
        timeout,
    };
    TraceQueue::spawn(exporter, settings, on_outcome)
}

/// The traces' resource: the crate's own attributes, overridden by `OTEL_RESOURCE_ATTRIBUTES` and then by `OTEL_SERVICE_NAME`.
fn resource(config: &TracesConfig) -> Resource {
    const PROGRAM: &str = env!("CARGO_PKG_NAME");
    const SERVICE_NAME: &str = "service.name";
    let revision = Some(REVISION).filter(|revision| !revision.is_empty());
    let given = config.attributes.iter();
    let given = given.map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let named = config.service_name.clone();
    // The last value of a key wins. The SDK's own detectors would not decode the variables.
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attribute(KeyValue::new(SERVICE_NAME, PROGRAM))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attributes(revision.map(|revision| KeyValue::new("vcs.ref.head.revision", revision)))
        .with_attributes(given)
        .with_attributes(named.map(|name| KeyValue::new(SERVICE_NAME, name)))
        .build()
}

/// Enables the crate's own spans and events. A layer without such a filter enables those of all libraries: h2 makes three spans for
/// each frame it reads.
fn own() -> Targets {
    Targets::new().with_target(OWN_TARGET, LevelFilter::INFO)
}

fn trace_layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(env!("CARGO_PKG_NAME")))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
        .with_level(false)
        .with_error_events_to_status(false)
        .with_filter(own())
}
