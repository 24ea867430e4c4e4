//! What the service says of itself: one subscriber of a filter, a log (journal or stderr), and finished traces on their way out.

use std::{future::pending, io, net::UdpSocket, time::Duration};

use opentelemetry::{Key, KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, filter::Targets, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt,
};

use crate::config::{REVISION, TraceExport, TracesConfig};

mod ids;
mod jaeger;
mod journal;
mod stderr;
mod traces;

pub use traces::Outcome;

use journal::Journal;
use traces::TraceQueue;

/// How long stopping may take to send the last traces and log lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The crate's own spans; those of the libraries, the exporters' among them, are not traced.
const OWN_TARGET: &str = env!("CARGO_CRATE_NAME");

/// The running log and trace output; to be flushed before the program ends.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<TraceQueue>,
    journal: Option<Journal>,
}

/// Why there is no telemetry.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The OTLP exporter refuses its endpoint.
    #[error("cannot set up the OTLP exporter for {endpoint}")]
    Otlp {
        /// `OTEL_EXPORTER_OTLP_ENDPOINT`.
        endpoint: String,
        /// What the exporter says.
        source: opentelemetry_otlp::ExporterBuildError,
    },
    /// The thread that writes to the journal cannot be started.
    #[error("cannot start the journal's thread")]
    Journal(#[source] io::Error),
}

/// Installs the process's subscriber. Must be called once, within the service's runtime.
///
/// Traces for Jaeger leave by `agent_socket` where there is one. `on_trace` hears what became of each finished trace.
///
/// # Errors
///
/// When the exporter or the journal's thread cannot be set up.
pub fn start(
    log: &Targets,
    traces: &TracesConfig,
    agent_socket: Option<UdpSocket>,
    on_trace: impl Fn(Outcome) + Send + Sync + 'static,
) -> Result<Telemetry, TelemetryError> {
    let queue = traces
        .export
        .as_ref()
        .map(|export| {
            export_to(
                export,
                traces.service_name.as_deref(),
                agent_socket,
                on_trace,
            )
        })
        .transpose()?;
    let (log_layer, journal) = log_layer(log)?;
    tracing_subscriber::registry()
        .with(queue.as_ref().map(|queue| trace_layer(queue.provider())))
        .with(ids::IdsLayer::default().with_filter(own()))
        .with(log_layer.with_filter(log.clone()))
        .init();
    Ok(Telemetry {
        traces: queue,
        journal,
    })
}

/// What stores and systems say can hold line breaks and worse: one event is one line, whatever is in it.
fn escaped(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Logs what must be said before there is a configuration, and waits until it is said.
///
/// Only to the journal; where that is not our standard error, `log` is not called and the answer is false.
pub fn log_to_journal(log: impl FnOnce()) -> bool {
    let Ok((layer, Some(journal))) = log_layer(&own()) else {
        return false;
    };
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, log);
    journal.drain(FLUSH_TIMEOUT);
    true
}

impl Telemetry {
    /// Waits for the end of a task or thread that carries words out, which nothing but [`Telemetry::flush`] should bring about, and
    /// says which.
    pub fn ended(&self) -> impl Future<Output = &'static str> + use<> {
        let exporter = self.traces.as_ref().map(TraceQueue::ended);
        let journal = self.journal.as_ref().map(Journal::ended);
        async {
            tokio::select! {
                () = cancelled(exporter) => "exporter of traces",
                () = cancelled(journal) => "thread that writes to the journal",
            }
        }
    }

    /// Sends what is still waiting, for at most two seconds each.
    pub async fn flush(self) {
        if let Some(traces) = self.traces
            && tokio::time::timeout(FLUSH_TIMEOUT, traces.drain())
                .await
                .is_err()
        {
            tracing::warn!("traces not sent in time");
        }
        if let Some(journal) = self.journal {
            journal.drain(FLUSH_TIMEOUT);
        }
    }
}

/// Never, without a token.
async fn cancelled(token: Option<CancellationToken>) {
    match token {
        Some(token) => token.cancelled().await,
        None => pending().await,
    }
}

fn export_to(
    export: &TraceExport,
    service_name: Option<&str>,
    agent_socket: Option<UdpSocket>,
    on_outcome: impl Fn(Outcome) + Send + Sync + 'static,
) -> Result<TraceQueue, TelemetryError> {
    let resource = resource(service_name);
    Ok(match export {
        TraceExport::Jaeger { host, port } => {
            let exporter = jaeger::JaegerExporter::new(host, *port, agent_socket);
            TraceQueue::spawn(exporter, resource, on_outcome)
        }
        TraceExport::Otlp { endpoint } => {
            let exporter = OtlpExporter::builder()
                .with_tonic()
                .with_endpoint(endpoint)
                .build()
                .map_err(|source| TelemetryError::Otlp {
                    endpoint: endpoint.clone(),
                    source,
                })?;
            TraceQueue::spawn(exporter, resource, on_outcome)
        }
    })
}

/// Who sends the traces: `OTEL_SERVICE_NAME`, else `service.name` of `OTEL_RESOURCE_ATTRIBUTES`, else the program's name.
fn resource(service_name: Option<&str>) -> Resource {
    const PROGRAM: &str = env!("CARGO_PKG_NAME");
    /// What OpenTelemetry calls a service that nobody has named.
    const UNNAMED: &str = "unknown_service";
    let given = Resource::builder()
        .build()
        .get(&Key::from_static_str("service.name"));
    let given = given
        .map(|name| name.to_string())
        .filter(|name| !name.starts_with(UNNAMED));
    let name = service_name.map(str::to_owned).or(given);
    let revision = Some(REVISION).filter(|revision| !revision.is_empty());
    Resource::builder()
        .with_service_name(name.unwrap_or_else(|| PROGRAM.to_owned()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attributes(revision.map(|revision| KeyValue::new("vcs.ref.head.revision", revision)))
        .build()
}

/// Spans and events of the crate itself. A layer without such a filter has those of every library made: h2 makes three spans for
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

type LogLayer<S> = Box<dyn Layer<S> + Send + Sync>;

/// The journal where `$JOURNAL_STREAM` says that our stderr is its; stderr otherwise, and where the journal's socket is missing.
fn log_layer<S>(filter: &Targets) -> Result<(LogLayer<S>, Option<Journal>), TelemetryError>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    if !journal::is_our_stderr() {
        return Ok((stderr::layer().boxed(), None));
    }
    match tracing_journald::layer() {
        Ok(journald) => {
            let (layer, journal) =
                journal::start(journald, filter.clone()).map_err(TelemetryError::Journal)?;
            Ok((layer.boxed(), Some(journal)))
        }
        Err(_) => Ok((stderr::layer().boxed(), None)),
    }
}
