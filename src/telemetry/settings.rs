//! Settings of tracing.

use std::{fmt, time::Duration};

use http::HeaderMap;
use opentelemetry_sdk::trace::{Sampler, SpanLimits};

/// Settings of tracing: the exporter, the resource, and what is sent.
#[derive(Clone, Debug)]
pub struct TracesConfig {
    /// The exporter; `None` switches tracing off.
    pub(crate) export: Option<TraceExport>,
    /// The variables that selected the exporter and its address; empty if none was set.
    pub(crate) decided_by: Vec<String>,
    /// `service.name` of the traces, where `OTEL_SERVICE_NAME` gives one.
    pub service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`, decoded.
    pub(crate) attributes: Vec<(String, String)>,
    /// Which traces are sent.
    pub(crate) sampler: Sampler,
    /// How much a span may hold.
    pub(crate) limits: SpanLimits,
}

/// The exporters.
#[derive(Clone, Debug)]
pub(crate) enum TraceExport {
    /// The Jaeger agent protocol: compact Thrift over UDP.
    Jaeger {
        /// Name or IP address; IPv6 in brackets.
        host: String,
        /// UDP port.
        port: u16,
    },
    /// OTLP over gRPC, without TLS.
    Otlp(OtlpConfig),
}

/// How the collector is reached.
#[derive(Clone, Debug)]
pub(crate) struct OtlpConfig {
    /// `http://HOST:PORT`.
    pub(crate) endpoint: String,
    /// Sent along with every trace; marked as sensitive.
    pub(crate) headers: HeaderMap,
    /// Longest time that one trace may take to be sent.
    pub(crate) timeout: Duration,
}

/// The exporter, its address, and the variables that selected them: `otlp http://127.0.0.1:4317 (OTEL_EXPORTER_OTLP_ENDPOINT)`.
impl fmt::Display for TracesConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.export {
            Some(TraceExport::Jaeger { host, port }) => write!(f, "jaeger {host}:{port}")?,
            Some(TraceExport::Otlp(otlp)) => write!(f, "otlp {}", otlp.endpoint)?,
            None => f.write_str("none")?,
        }
        match self.decided_by.as_slice() {
            [] => f.write_str(" (default)"),
            variables => write!(f, " ({})", variables.join(", ")),
        }
    }
}
