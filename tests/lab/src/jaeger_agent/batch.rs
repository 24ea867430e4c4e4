//! The structs of `jaeger.thrift` (jaegertracing/jaeger-idl) that a Jaeger client sends.

use std::collections::BTreeMap;
use std::fmt;

/// One `emitBatch` call: spans of one process.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The sender of the spans.
    pub process: Process,
    /// The spans, in the order of the datagram.
    pub spans: Vec<Span>,
}

/// The service that the spans come from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Process {
    /// `serviceName`.
    pub service: String,
    /// OpenTelemetry's resource attributes.
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
    /// The name of the operation.
    pub operation: String,
    /// Bit 0: sampled, bit 1: debug.
    pub flags: i32,
    /// Microseconds since the Unix epoch.
    pub start_micros: i64,
    /// Microseconds.
    pub duration_micros: i64,
    /// OpenTelemetry's attributes, kind, status and scope.
    pub tags: BTreeMap<String, Value>,
    /// OpenTelemetry's events.
    pub logs: Vec<Log>,
}

/// An event during a span.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Log {
    /// Microseconds since the Unix epoch.
    pub timestamp_micros: i64,
    /// The event's name is the field `event`; the others are its attributes.
    pub fields: BTreeMap<String, Value>,
}

/// The value of a tag.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    String(String),
    /// A floating-point number.
    Double(f64),
    /// A boolean.
    Bool(bool),
    /// An integer.
    Long(i64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => f.write_str(text),
            Self::Double(number) => write!(f, "{number}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Long(number) => write!(f, "{number}"),
        }
    }
}

impl Span {
    /// The tag as text, whatever its type.
    pub fn text(&self, tag: &str) -> Option<String> {
        self.tags.get(tag).map(Value::to_string)
    }

    /// Whether the span has the error tag.
    pub fn is_error(&self) -> bool {
        self.tags.get("error") == Some(&Value::Bool(true))
    }
}

impl Log {
    /// The event's name: the field `event`.
    pub fn name(&self) -> Option<String> {
        self.fields.get("event").map(Value::to_string)
    }
}
