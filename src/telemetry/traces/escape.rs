//! Escapes the texts of a span: those from stores may hold anything, and a viewer of traces may print them to a terminal.

use opentelemetry::{KeyValue, Value, trace::Status};
use opentelemetry_sdk::trace::SpanData;

use crate::words::{escaped, is_command};

/// The span with its attributes, those of its events, and its status escaped.
pub(super) fn span(mut span: SpanData) -> SpanData {
    let of_events = span
        .events
        .events
        .iter_mut()
        .map(|event| &mut event.attributes);
    for attributes in of_events.chain([&mut span.attributes]) {
        attributes.iter_mut().for_each(escape);
    }
    if let Status::Error { description } = &span.status {
        span.status = Status::error(escaped(description));
    }
    span
}

fn escape(attribute: &mut KeyValue) {
    if let Value::String(text) = &attribute.value
        && text.as_str().contains(is_command)
    {
        attribute.value = Value::String(escaped(text.as_str()).into());
    }
}
