//! Converts spans to those of OpenTelemetry 0.23, cut to what a datagram holds.
//!
//! Thrift has no fields for trace state, link attributes, dropped counts and the scope's attributes: they are lost.

use std::borrow::Cow;

use opentelemetry::{Key, KeyValue, Value, trace as new};
use opentelemetry_0_23::{self as old_api, InstrumentationLibrary, trace as old};
use opentelemetry_sdk::{Resource, trace::SpanData};
use opentelemetry_sdk_0_23::{
    Resource as OldResource,
    export::trace::SpanData as OldSpanData,
    trace::{SpanEvents, SpanLinks},
};

use crate::words::cut;

/// Longest text that is sent uncut, in bytes.
const MAX_TEXT: usize = 4096;

/// Longest texts of one span together, and of the resource, in bytes: both must fit into one datagram of 65,000 bytes.
const SPAN_TEXT: usize = 40_000;
const RESOURCE_TEXT: usize = 12_000;

/// Most attributes of the resource that are sent: OpenTelemetry's default limit for a span.
const MAX_RESOURCE_ATTRIBUTES: usize = 128;

pub(super) fn spans(spans: Vec<SpanData>) -> Vec<OldSpanData> {
    spans.into_iter().map(span).collect()
}

/// The service's name and then the others, up to 128.
pub(super) fn resource(resource: &Resource) -> OldResource {
    const SERVICE_NAME: &str = "service.name";
    let is_name = |key: &Key| key.as_str() == SERVICE_NAME;
    let named = resource.iter().filter(|(key, _)| is_name(key));
    let others = resource.iter().filter(|(key, _)| !is_name(key));
    let attributes: Vec<_> = named.chain(others).take(MAX_RESOURCE_ATTRIBUTES).collect();
    let limit = share(RESOURCE_TEXT, 2 * attributes.len());
    OldResource::new(attributes.into_iter().map(|(key, value)| {
        old_api::KeyValue::new(cut(key.as_str(), limit), old_value(value, limit))
    }))
}

fn span(span: SpanData) -> OldSpanData {
    let event_texts: usize = span
        .events
        .iter()
        .map(|event| 1 + event.attributes.len())
        .sum();
    let limit = share(SPAN_TEXT, 2 + span.attributes.len() + event_texts);
    let scope = &span.instrumentation_scope;
    let mut library = InstrumentationLibrary::builder(scope.name().to_owned());
    if let Some(version) = scope.version() {
        library = library.with_version(version.to_owned());
    }
    OldSpanData {
        span_context: context(&span.span_context),
        parent_span_id: old::SpanId::from_bytes(span.parent_span_id.to_bytes()),
        span_kind: kind(&span.span_kind),
        name: Cow::Owned(cut(&span.name, limit)),
        start_time: span.start_time,
        end_time: span.end_time,
        attributes: attributes(&span.attributes, limit),
        dropped_attributes_count: span.dropped_attributes_count,
        events: events(&span.events, limit),
        links: links(&span.links),
        status: status(span.status, limit),
        resource: Cow::Owned(OldResource::empty()),
        instrumentation_lib: library.build(),
    }
}

fn context(context: &new::SpanContext) -> old::SpanContext {
    old::SpanContext::new(
        old::TraceId::from_bytes(context.trace_id().to_bytes()),
        old::SpanId::from_bytes(context.span_id().to_bytes()),
        old::TraceFlags::new(context.trace_flags().to_u8()),
        context.is_remote(),
        old::TraceState::default(),
    )
}

fn kind(kind: &new::SpanKind) -> old::SpanKind {
    match kind {
        new::SpanKind::Client => old::SpanKind::Client,
        new::SpanKind::Server => old::SpanKind::Server,
        new::SpanKind::Producer => old::SpanKind::Producer,
        new::SpanKind::Consumer => old::SpanKind::Consumer,
        new::SpanKind::Internal => old::SpanKind::Internal,
    }
}

fn status(status: new::Status, limit: usize) -> old::Status {
    match status {
        new::Status::Unset => old::Status::Unset,
        new::Status::Ok => old::Status::Ok,
        new::Status::Error { description } => old::Status::error(cut(&description, limit)),
    }
}

fn events(events: &opentelemetry_sdk::trace::SpanEvents, limit: usize) -> SpanEvents {
    let mut old_events = SpanEvents::default();
    old_events.events = events
        .iter()
        .map(|event| {
            old::Event::new(
                cut(&event.name, limit),
                event.timestamp,
                attributes(&event.attributes, limit),
                event.dropped_attributes_count,
            )
        })
        .collect();
    old_events
}

fn links(links: &opentelemetry_sdk::trace::SpanLinks) -> SpanLinks {
    let mut old_links = SpanLinks::default();
    old_links.links = links
        .iter()
        .map(|link| old::Link::new(context(&link.span_context), Vec::new(), 0))
        .collect();
    old_links
}

fn attributes(attributes: &[KeyValue], limit: usize) -> Vec<old_api::KeyValue> {
    attributes
        .iter()
        .map(|attribute| {
            old_api::KeyValue::new(
                attribute.key.as_str().to_owned(),
                old_value(&attribute.value, limit),
            )
        })
        .collect()
}

/// Thrift has no arrays: the crate sends them as text, and so are types of values that it does not know.
fn old_value(value: &Value, limit: usize) -> old_api::Value {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::I64(value) => (*value).into(),
        Value::F64(value) => (*value).into(),
        other => cut(&other.as_str(), limit).into(),
    }
}

/// Longest length of each of `texts` within `budget`.
fn share(budget: usize, texts: usize) -> usize {
    (budget / texts.max(1)).min(MAX_TEXT)
}
