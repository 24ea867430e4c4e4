//! What a Jaeger client reports: the structs of `jaeger.thrift` (jaegertracing/jaeger-idl).

use std::collections::BTreeMap;
use std::fmt;

/// One `emitBatch` call: spans of one process.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Who sends the spans.
    pub process: Process,
    /// The spans, in the order of the datagram.
    pub spans: Vec<Span>,
}

/// The service that the spans come from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Process {
    /// `serviceName`.
    pub service: String,
    /// What OpenTelemetry calls resource attributes.
    pub tags: BTreeMap<String, Value>,
}

/// One unit of work.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Span {
    /// The trace it belongs to.
    pub trace_id: u128,
    /// Unique in its trace.
    pub span_id: u64,
    /// The span that caused it; 0 for a root.
    pub parent_span_id: u64,
    /// What is done.
    pub operation: String,
    /// Bit 0: sampled, bit 1: debug.
    pub flags: i32,
    /// Microseconds since the Unix epoch.
    pub start_micros: i64,
    /// Microseconds.
    pub duration_micros: i64,
    /// What OpenTelemetry calls attributes, kind, status and scope.
    pub tags: BTreeMap<String, Value>,
    /// What OpenTelemetry calls events.
    pub logs: Vec<Log>,
}

/// Something that happened during a span.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Log {
    /// Microseconds since the Unix epoch.
    pub timestamp_micros: i64,
    /// What is known about it; its name is the field `event`.
    pub fields: BTreeMap<String, Value>,
}

/// The value of a tag.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    String(String),
    /// A floating-point number.
    Double(f64),
    /// A truth value.
    Bool(bool),
    /// An integer.
    Long(i64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => f.write_str(text),
            Self::Double(number) => write!(f, "{number}"),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Long(number) => write!(f, "{number}"),
        }
    }
}

impl Span {
    /// The tag as text, whatever its type.
    pub fn text(&self, tag: &str) -> Option<String> {
        self.tags.get(tag).map(Value::to_string)
    }

    /// Whether the span says that its work failed.
    pub fn is_error(&self) -> bool {
        self.tags.get("error") == Some(&Value::Bool(true))
    }
}

impl Log {
    /// What happened: the field `event`.
    pub fn name(&self) -> Option<String> {
        self.fields.get("event").map(Value::to_string)
    }
}
