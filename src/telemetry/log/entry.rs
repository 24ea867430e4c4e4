//! An event in the log's queue.

use std::{fmt, time::SystemTime};

use opentelemetry::{
    Context,
    trace::{SpanContext, TraceContextExt},
};
use tracing::{
    Event, Metadata,
    field::{Field, Visit},
};

use crate::words::cut;

/// The field that tracing's macros put the message into.
pub(super) const MESSAGE: &str = "message";

/// Longest value, in bytes: those from stores, collectors and libraries have no limit of their own.
const LONGEST: usize = 8 * 1024;

/// An event, formatted but not escaped.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) time: SystemTime,
    pub(super) metadata: &'static Metadata<'static>,
    pub(super) values: Vec<(&'static str, Text)>,
    /// The innermost span around the event, if its trace is sampled: other traces are not exported.
    pub(super) span: Option<SpanContext>,
}

/// A field's value.
#[derive(Debug)]
pub(super) enum Text {
    /// A string.
    Str(String),
    /// Any other value, as `Debug` formats it.
    Shown(String),
}

impl Entry {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut values = Values(Vec::new());
        event.record(&mut values);
        // tracing-opentelemetry keeps OpenTelemetry's current context in step with the spans that are entered.
        let span = Context::map_current(|context| context.span().span_context().clone());
        Self {
            time: SystemTime::now(),
            metadata: event.metadata(),
            values: values.0,
            span: Some(span).filter(SpanContext::is_sampled),
        }
    }

    /// The value of this field, if the event has it.
    pub(super) fn value(&self, name: &str) -> Option<&Text> {
        let mut values = self.values.iter();
        let (_, text) = values.find(|(field, _)| *field == name)?;
        Some(text)
    }

    /// All fields but the message.
    pub(super) fn fields(&self) -> impl Iterator<Item = &(&'static str, Text)> {
        self.values.iter().filter(|(name, _)| *name != MESSAGE)
    }

    /// The text for people: the message, the fields with their values as `show` formats them, and the trace's id; not escaped.
    pub(super) fn text(&self, show: impl Fn(&Text) -> String) -> String {
        let message = self.value(MESSAGE).map(|text| text.as_str().to_owned());
        let fields = self.fields();
        let fields = fields.map(|(name, text)| format!("{name}={}", show(text)));
        let span = self.span.as_ref();
        let id = span.map(|span| format!("trace_id={}", span.trace_id()));
        let parts: Vec<String> = message.into_iter().chain(fields).chain(id).collect();
        parts.join(" ")
    }
}

impl Text {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Str(text) | Self::Shown(text) => text,
        }
    }
}

struct Values(Vec<(&'static str, Text)>);

impl Visit for Values {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), Text::Str(cut(value, LONGEST))));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let shown = cut(&format!("{value:?}"), LONGEST);
        self.0.push((field.name(), Text::Shown(shown)));
    }
}
