//! OpenTelemetry's variables: those that are read, with their defaults, and those that are refused, with the reason.

/// A variable that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// The default; empty if there is none.
    pub default: &'static str,
    /// Its description in `--help`.
    pub(crate) help: &'static str,
}

pub(super) const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
pub(super) const DISABLED: &str = "OTEL_SDK_DISABLED";
pub(super) const JAEGER_HOST: &str = "OTEL_EXPORTER_JAEGER_AGENT_HOST";
pub(super) const JAEGER_PORT: &str = "OTEL_EXPORTER_JAEGER_AGENT_PORT";
pub(super) const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
pub(super) const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
pub(super) const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
pub(super) const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
pub(super) const SPAN_ATTRIBUTES: &str = "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT";
pub(super) const SPAN_EVENTS: &str = "OTEL_SPAN_EVENT_COUNT_LIMIT";
pub(super) const SPAN_LINKS: &str = "OTEL_SPAN_LINK_COUNT_LIMIT";
pub(super) const PROPAGATORS: &str = "OTEL_PROPAGATORS";

/// Prefixes of the exporters' variables.
pub(super) const OTLP: &str = "OTEL_EXPORTER_OTLP_";
pub(super) const OTLP_TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_";
pub(super) const JAEGER: &str = "OTEL_EXPORTER_JAEGER_";

const fn variable(name: &'static str, default: &'static str, help: &'static str) -> Variable {
    Variable {
        name,
        default,
        help,
    }
}

/// Every variable that is read, in the order of the documentation. Each of `OTEL_EXPORTER_OTLP_…` can also be
/// `OTEL_EXPORTER_OTLP_TRACES_…`, which takes precedence.
pub const VARIABLES: [Variable; 18] = [
    variable(
        EXPORTER,
        "jaeger",
        "jaeger, otlp or none; otlp when only its variables are set",
    ),
    variable(DISABLED, "false", "true disables traces"),
    variable(JAEGER_HOST, "127.0.0.1", "where the Jaeger agent listens"),
    variable(JAEGER_PORT, "6831", "its UDP port for compact Thrift"),
    variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "http://localhost:4317",
        "OTLP over gRPC without TLS",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "",
        "metadata to send: KEY=VALUE,...",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "10000",
        "milliseconds that sending a trace may take, up to 600000",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_INSECURE",
        "false",
        "true permits an endpoint without http://",
    ),
    variable("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "grpc only"),
    variable("OTEL_EXPORTER_OTLP_COMPRESSION", "none", "none only"),
    variable(SERVICE_NAME, "exp-rkt-grpc", "the traces' service.name"),
    variable(ATTRIBUTES, "", "further resource attributes: KEY=VALUE,..."),
    variable(
        SAMPLER,
        "parentbased_always_on",
        "always_on, always_off or traceidratio, also with parentbased_",
    ),
    variable(
        SAMPLER_ARG,
        "",
        "ratio for traceidratio, from 0 to 1; 1 when unset",
    ),
    variable(SPAN_ATTRIBUTES, "128", "attributes that a span may have"),
    variable(SPAN_EVENTS, "128", "events that a span may have"),
    variable(SPAN_LINKS, "128", "links that a span may have"),
    variable(
        PROPAGATORS,
        "tracecontext",
        "traceparent is sent to the stores: tracecontext[,baggage] only",
    ),
];

const NO_TLS: &str = "TLS is not supported";
const AGENT_ONLY: &str =
    "traces go to a Jaeger agent's UDP port only, or use OTEL_TRACES_EXPORTER=otlp";
const NO_BATCHES: &str = "a finished trace is sent at once and whole, there are no batches";
const OTHER_LIMITS: &str = "only OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT, OTEL_SPAN_EVENT_COUNT_LIMIT and OTEL_SPAN_LINK_COUNT_LIMIT are supported";
const NO_FILE: &str = "OpenTelemetry's configuration files are not read";

/// Refused with every exporter, and why.
pub(super) const NOT_SUPPORTED: [(&str, &str); 12] = [
    ("OTEL_BSP_SCHEDULE_DELAY", NO_BATCHES),
    ("OTEL_BSP_EXPORT_TIMEOUT", NO_BATCHES),
    ("OTEL_BSP_MAX_QUEUE_SIZE", NO_BATCHES),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", NO_BATCHES),
    ("OTEL_BSP_MAX_CONCURRENT_EXPORTS", NO_BATCHES),
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", OTHER_LIMITS),
    ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", OTHER_LIMITS),
    ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", OTHER_LIMITS),
    ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", OTHER_LIMITS),
    ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", OTHER_LIMITS),
    ("OTEL_CONFIG_FILE", NO_FILE),
    ("OTEL_EXPERIMENTAL_CONFIG_FILE", NO_FILE),
];

/// Refused with the exporter `otlp`.
pub(super) const NOT_SUPPORTED_BY_OTLP: [(&str, &str); 6] = [
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", NO_TLS),
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", NO_TLS),
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", NO_TLS),
    ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", NO_TLS),
    ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", NO_TLS),
    ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", NO_TLS),
];

/// Refused with the exporter `jaeger`.
pub(super) const NOT_SUPPORTED_BY_JAEGER: [(&str, &str); 5] = [
    ("OTEL_EXPORTER_JAEGER_ENDPOINT", AGENT_ONLY),
    ("OTEL_EXPORTER_JAEGER_PROTOCOL", AGENT_ONLY),
    ("OTEL_EXPORTER_JAEGER_TIMEOUT", AGENT_ONLY),
    ("OTEL_EXPORTER_JAEGER_USER", AGENT_ONLY),
    ("OTEL_EXPORTER_JAEGER_PASSWORD", AGENT_ONLY),
];

/// Every name that is read or refused.
pub(in crate::config) fn names() -> impl Iterator<Item = String> {
    let read = VARIABLES.iter().map(|variable| variable.name.to_owned());
    let options = VARIABLES
        .iter()
        .filter_map(|variable| variable.name.strip_prefix(OTLP));
    let of_traces = options.map(|option| format!("{OTLP_TRACES}{option}"));
    let refused = NOT_SUPPORTED
        .iter()
        .chain(&NOT_SUPPORTED_BY_OTLP)
        .chain(&NOT_SUPPORTED_BY_JAEGER)
        .map(|(name, _)| (*name).to_owned());
    read.chain(of_traces).chain(refused)
}
