//! The spans of a query's calls.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{
    answer::{Code, Contents, QueryError},
    images::address::StoreAddress,
};

/// The span of a call. Attributes after the OpenTelemetry semantic conventions for RPC, version 1.39.
pub(super) fn call(method: &'static str, store: &str, address: &StoreAddress) -> Span {
    tracing::info_span!(
        "rpc",
        "otel.name" = method,
        "otel.kind" = "client",
        "otel.status_code" = Empty,
        "otel.status_description" = Empty,
        "rpc.system.name" = "grpc",
        "rpc.method" = method,
        "rpc.response.status_code" = Empty,
        "server.address" = address.host(),
        "server.port" = address.port(),
        "error.type" = Empty,
        "imagestore.store" = store,
        "imagestore.images" = Empty,
    )
}

/// The span of connecting, within that of the first call.
pub(super) fn connect(address: &StoreAddress) -> Span {
    tracing::info_span!(
        "connect",
        "otel.status_code" = Empty,
        "otel.status_description" = Empty,
        "error.type" = Empty,
        "server.address" = address.host(),
        "server.port" = address.port(),
    )
}

/// Records the number of images, if it is known, in the current call's span.
pub(in crate::images) fn record(contents: &Contents) {
    if let Some(images) = contents.images {
        Span::current().record("imagestore.images", images.cast_signed());
    }
}

/// Records the status of a call in its span: CANCELLED, if it is dropped before another one is known.
pub(super) struct Ending<'a> {
    span: &'a Span,
    pub(super) code: Code,
}

impl<'a> Ending<'a> {
    pub(super) fn of(span: &'a Span) -> Self {
        Self {
            span,
            code: Code::CANCELLED,
        }
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.span
            .record("rpc.response.status_code", self.code.name());
    }
}

pub(super) fn mark_failed(span: &Span, error: &QueryError) {
    span.record("error.type", error.code().name());
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_description", error.to_string());
}

/// The span's W3C trace context (<https://www.w3.org/TR/trace-context/>), so that the store's own spans join the trace.
pub(super) fn propagated(span: &Span) -> HeaderMap {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&span.context(), &mut carrier);
    carrier
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, value)| {
            Some((
                HeaderName::try_from(name).ok()?,
                HeaderValue::try_from(value).ok()?,
            ))
        })
        .collect()
}
