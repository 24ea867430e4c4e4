//! Trace and span ids where log lines find them: in the extensions of each span.

use std::sync::OnceLock;

use opentelemetry::trace::{SpanId, TraceContextExt, TraceId};
use tracing::{Dispatch, Subscriber, dispatcher::WeakDispatch, span};
use tracing_subscriber::{
    Layer,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

/// Ids of a span of the trace that is being recorded. A trace that is not sampled has none: nobody could look it up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
}

/// Asks OpenTelemetry's layer, which must come before it, for the ids of each new span.
#[derive(Debug, Default)]
pub(super) struct IdsLayer {
    dispatch: OnceLock<WeakDispatch>,
}

impl<S> Layer<S> for IdsLayer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        // A layer belongs to one subscriber: the first call is the only one.
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    fn on_new_span(&self, _: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let otel = self
            .dispatch
            .get()
            .and_then(WeakDispatch::upgrade)
            .and_then(|dispatch| tracing_opentelemetry::get_otel_context(id, &dispatch));
        let Some(otel) = otel else { return };
        let recorded = otel.span().span_context().clone();
        if let Some(span) = context.span(id)
            && recorded.is_sampled()
        {
            span.extensions_mut().replace(Ids {
                trace: recorded.trace_id(),
                span: recorded.span_id(),
            });
        }
    }
}

/// The ids of the innermost recorded span of `scope`.
pub(super) fn of<'a, S>(span: Option<SpanRef<'a, S>>) -> Option<Ids>
where
    S: LookupSpan<'a>,
{
    span?
        .scope()
        .find_map(|span| span.extensions().get::<Ids>().copied())
}
