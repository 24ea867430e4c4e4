//! The journal: entries with fields, through tracing-journald.
//!
//! tracing-journald blocks the thread that logs, so the log's thread dispatches a copy of each event to it. It cannot add fields to
//! an event, so the copy has its own metadata, with three more fields.

use std::{collections::HashMap, io};

use tracing::{
    Dispatch, Event, Metadata, Value, callsite::Identifier, field::FieldSet, metadata::Kind,
};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt};

use super::{
    Format,
    entry::{Entry, MESSAGE},
};
use crate::words::{escaped, escaped_lines};

/// `SYSLOG_IDENTIFIER=`, for `journalctl -t`.
const IDENTIFIER: &str = env!("CARGO_PKG_NAME");

/// The fields that are added to those of each event.
const ADDED: [&str; 3] = ["TRACE_ID", "SPAN_ID", "MESSAGE_ID"];

/// The journal's socket.
#[derive(Debug)]
pub(super) struct Journal {
    dispatch: Dispatch,
    /// The metadata of copies, by callsite.
    extended: HashMap<Identifier, &'static Metadata<'static>>,
}

/// Whether standard error is connected to the journal: `$JOURNAL_STREAM` (systemd.exec(5)) then names its file.
fn is_our_stderr() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(stderr) = rustix::fs::fstat(io::stderr()) else {
        return false;
    };
    stream == format!("{}:{}", stderr.st_dev, stderr.st_ino)
}

impl Journal {
    /// Connects to the journal; `None` if standard error is not connected to it, or its socket is missing. May block.
    ///
    /// `filter` prevents this subscriber from enabling spans and events of libraries.
    pub(super) fn open(filter: Targets) -> Option<Self> {
        if !is_our_stderr() {
            return None;
        }
        let journald = tracing_journald::layer()
            .ok()?
            .with_field_prefix(None)
            .with_syslog_identifier(IDENTIFIER.to_owned())
            .with_priority_mappings(PriorityMappings {
                info: Priority::Informational,
                debug: Priority::Debug,
                ..PriorityMappings::new()
            });
        Some(Self {
            dispatch: Dispatch::new(tracing_subscriber::registry().with(journald).with(filter)),
            extended: HashMap::new(),
        })
    }

    /// Sends the entry; blocks while the journal's socket is full.
    pub(super) fn write(&mut self, entry: &Entry, format: Format) {
        let span = entry.span.as_ref();
        let own = entry.metadata.fields().iter();
        let own = own.map(|field| match field.name() {
            MESSAGE => Some(message(entry, format)),
            name => Some(escaped_lines(entry.value(name)?.as_str())),
        });
        let added = [
            span.map(|span| span.trace_id().to_string()),
            span.map(|span| span.span_id().to_string()),
            message_id(entry.metadata.name()).map(str::to_owned),
        ];
        let values: Vec<Option<String>> = own.chain(added).collect();
        let values = values
            .iter()
            .map(|value| Some(value.as_ref()? as &dyn Value));
        let values: Vec<Option<&dyn Value>> = values.collect();
        let metadata = self.extended(entry.metadata);
        tracing::dispatcher::with_default(&self.dispatch, || {
            Event::dispatch(metadata, &metadata.fields().value_set_all(&values));
        });
    }

    /// Events need `'static` metadata, which is leaked once for each callsite.
    fn extended(&mut self, metadata: &'static Metadata<'static>) -> &'static Metadata<'static> {
        self.extended.entry(metadata.callsite()).or_insert_with(|| {
            let fields = metadata.fields().iter().map(|field| field.name());
            let fields: Vec<_> = fields.chain(ADDED).collect();
            Box::leak(Box::new(Metadata::new(
                metadata.name(),
                metadata.target(),
                *metadata.level(),
                metadata.file(),
                metadata.line(),
                metadata.module_path(),
                FieldSet::new(fields.leak(), metadata.callsite()),
                Kind::EVENT,
            )))
        })
    }
}

/// The text that journalctl(1) shows by default: one line, except for last words.
fn message(entry: &Entry, format: Format) -> String {
    let text = entry.text(|text| text.as_str().to_owned());
    match format {
        Format::Lines => escaped(&text),
        Format::LastWords => escaped_lines(&text),
    }
}

/// The id of this event's entry in the journal's catalog; only important events have one.
fn message_id(event: &str) -> Option<&'static str> {
    match event {
        "service ready" => Some("0f1ef67be4944cda80f256f9b19f5e97"),
        "query answered" => Some("639706cf8d6a4a389604c9f92f4f82c9"),
        "query failed" => Some("109c67144b5d46eb94c996a437699435"),
        "configuration refused" => Some("e5a1c3f7294b4d1c9b6e8f0a2d4c6b05"),
        "service ended unexpectedly" => Some("1f3754348cd641969b8bb011b51a82c1"),
        "service stopping" => Some("89ce63bd0d9c4efabd28bf4139b46cbb"),
        _ => None,
    }
}
