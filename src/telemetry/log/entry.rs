//! An event that can outlive the place it comes from.

use std::{fmt, time::SystemTime};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{layer::Context, registry::LookupSpan};

use super::super::ids::{self, Ids};

/// The field that tracing's macros put the message into.
pub(super) const MESSAGE: &str = "message";

/// What is known of an event.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) time: SystemTime,
    pub(super) metadata: &'static Metadata<'static>,
    pub(super) values: Vec<(Field, Text)>,
    pub(super) ids: Option<Ids>,
}

/// A field's value.
#[derive(Debug)]
pub(super) enum Text {
    /// A string.
    Str(String),
    /// Any other value, as it is shown.
    Shown(String),
}

impl Entry {
    pub(super) fn of<S>(event: &Event<'_>, context: &Context<'_, S>) -> Self
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let mut values = Values(Vec::new());
        event.record(&mut values);
        Self {
            time: SystemTime::now(),
            metadata: event.metadata(),
            values: values.0,
            ids: ids::of(context.event_span(event)),
        }
    }

    /// The value of this field, if the event has it.
    pub(super) fn value(&self, name: &str) -> Option<&Text> {
        let mut values = self.values.iter();
        let (_, text) = values.find(|(field, _)| field.name() == name)?;
        Some(text)
    }

    /// What people read: the message, the fields with their values as `show` has them, the trace's id. Nothing is escaped yet.
    pub(super) fn text(&self, show: impl Fn(&Text) -> String) -> String {
        let message = self.value(MESSAGE).map(|text| text.as_str().to_owned());
        let fields = self.values.iter().filter_map(|(field, text)| {
            let name = field.name();
            (name != MESSAGE).then(|| format!("{name}={}", show(text)))
        });
        let id = self.ids.map(|ids| format!("trace_id={}", ids.trace));
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

struct Values(Vec<(Field, Text)>);

impl Visit for Values {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.clone(), Text::Str(value.to_owned())));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let shown = format!("{value:?}");
        self.0.push((field.clone(), Text::Shown(shown)));
    }
}
