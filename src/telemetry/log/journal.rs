//! The journal: entries with fields, through tracing-journald.

use std::io;

use tracing::{Dispatch, Event, Value};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt};

use super::{
    Format,
    entry::{Entry, MESSAGE},
};
use crate::words::{escaped, escaped_lines};

mod extended;

use extended::Extended;

/// `SYSLOG_IDENTIFIER=`, for `journalctl -t`.
const IDENTIFIER: &str = env!("CARGO_PKG_NAME");

/// The journal's socket.
#[derive(Debug)]
pub(super) struct Journal {
    dispatch: Dispatch,
    extended: Extended,
}

/// Whether `$JOURNAL_STREAM` (systemd.exec(5)) names the file that our standard error is.
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
    /// Opens it, unless standard error is not the journal's or its socket is missing. Waits while the socket is full.
    ///
    /// `filter` keeps spans and events of libraries from being made for its sake.
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
            extended: Extended::default(),
        })
    }

    /// Dispatches the event once more, to tracing-journald and with the fields that it adds. Waits until the journal has taken it.
    ///
    /// `MESSAGE=` is one line, but that of last words, which journalctl(1) shows in as many as there are.
    pub(super) fn write(&mut self, entry: &Entry, format: Format) {
        let added = [
            entry.ids.map(|ids| ids.trace.to_string()),
            entry.ids.map(|ids| ids.span.to_string()),
            message_id(entry.metadata.name()).map(str::to_owned),
        ];
        let text = entry.text(|text| text.as_str().to_owned());
        let message = match format {
            Format::Lines => escaped(&text),
            Format::LastWords => escaped_lines(&text),
        };
        let fields = entry.metadata.fields().iter();
        let values: Vec<Option<String>> = fields
            .map(|field| Some(escaped_lines(entry.value(field.name())?.as_str())))
            .collect();
        let metadata = self.extended.of(entry.metadata);
        let fields = entry.metadata.fields().iter().zip(&values);
        let own = fields.map(|(field, value)| {
            // `MESSAGE=` is all that journalctl(1) shows unless it is asked for more.
            match field.name() {
                MESSAGE => Some(message.as_str()),
                _ => value.as_deref(),
            }
        });
        let texts: Vec<Option<&str>> = own.chain(added.iter().map(Option::as_deref)).collect();
        let texts = texts.iter().map(|text| Some(text.as_ref()? as &dyn Value));
        let texts: Vec<Option<&dyn Value>> = texts.collect();
        tracing::dispatcher::with_default(&self.dispatch, || {
            Event::dispatch(metadata, &metadata.fields().value_set_all(&texts));
        });
    }
}

/// The events that matter have a name, and an id in the journal's catalog.
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
