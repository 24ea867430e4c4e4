//! The journal: log lines as entries with fields, through tracing-journald.
//!
//! journald's socket blocks its writers when journald stands still, and this process serves scrapes from one thread; so the
//! entries go through a bounded queue to a thread of their own. What does not fit is counted and told of later.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use tracing::{
    Dispatch, Event, Metadata, Subscriber, Value,
    field::{Field, Visit},
};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

use super::{
    escaped,
    ids::{self, Ids},
};

mod extended;

use extended::Extended;

/// Entries that wait while journald stands still.
const QUEUE: usize = 1024;

/// The field that tracing's macros put the message into.
const MESSAGE: &str = "message";

/// `SYSLOG_IDENTIFIER=`, for `journalctl -t`.
const IDENTIFIER: &str = env!("CARGO_PKG_NAME");

/// The journal's thread.
#[derive(Debug)]
pub(super) struct Journal {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
    ended: Receiver<()>,
    lost: CancellationToken,
}

/// What the layer, the thread and who waits for it know together.
#[derive(Debug, Default)]
struct Shared {
    /// Entries that did not fit, and have not been told of yet.
    lost: AtomicU64,
    /// The thread is to end as soon as nothing waits any more.
    ending: AtomicBool,
}

/// Puts each event into the queue.
#[derive(Debug)]
pub(super) struct JournalLayer {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
enum Message {
    Entry(Entry),
    /// Wakes the thread, should it wait.
    End,
}

/// An event that can outlive the place it comes from.
#[derive(Debug)]
struct Entry {
    metadata: &'static Metadata<'static>,
    values: Vec<(Field, String)>,
    ids: Option<Ids>,
}

/// Whether `$JOURNAL_STREAM` (systemd.exec(5)) names the file that our standard error is.
pub(super) fn is_our_stderr() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(stderr) = rustix::fs::fstat(io::stderr()) else {
        return false;
    };
    stream == format!("{}:{}", stderr.st_dev, stderr.st_ino)
}

/// Starts the thread that writes what the layer is given.
pub(super) fn start(
    journald: tracing_journald::Layer,
    filter: Targets,
) -> io::Result<(JournalLayer, Journal)> {
    let (queue, entries) = sync_channel(QUEUE);
    let (end, ended) = sync_channel(1);
    let shared = Arc::new(Shared::default());
    let layer = JournalLayer {
        queue: queue.clone(),
        shared: Arc::clone(&shared),
    };
    let writing = Arc::clone(&shared);
    let lost = CancellationToken::new();
    let at_the_end = lost.clone().drop_guard();
    thread::Builder::new()
        .name("journal".to_owned())
        .spawn(move || {
            let _at_the_end = at_the_end;
            let journald = journald
                .with_field_prefix(None)
                .with_syslog_identifier(IDENTIFIER.to_owned())
                .with_priority_mappings(PriorityMappings {
                    info: Priority::Informational,
                    debug: Priority::Debug,
                    ..PriorityMappings::new()
                });
            let dispatch =
                Dispatch::new(tracing_subscriber::registry().with(journald).with(filter));
            tracing::dispatcher::with_default(&dispatch, || write(&entries, &writing));
            // Nobody waits when the program did not flush.
            let _ = end.send(());
        })?;
    let journal = Journal {
        queue,
        shared,
        ended,
        lost,
    };
    Ok((layer, journal))
}

impl Journal {
    /// Cancelled when the thread has ended, by a panic too.
    pub(super) fn ended(&self) -> CancellationToken {
        self.lost.clone()
    }

    /// Waits until everything queued is written, for at most `timeout`.
    ///
    /// A journal that stands still for longer keeps what it was not given: standard error leads there too.
    pub(super) fn drain(self, timeout: Duration) {
        self.shared.ending.store(true, Ordering::Release);
        // What is too full to take it has no need of it: the thread looks before each time it would wait.
        let _ = self.queue.try_send(Message::End);
        let _ = self.ended.recv_timeout(timeout);
    }
}

impl<S> Layer<S> for JournalLayer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut values = Values::default();
        event.record(&mut values);
        let entry = Entry {
            metadata: event.metadata(),
            values: values.0,
            ids: ids::of(context.event_span(event)),
        };
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Message::Entry(entry)) {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Every value as text, which is what the journal holds.
#[derive(Debug, Default)]
struct Values(Vec<(Field, String)>);

impl Visit for Values {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.clone(), value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push((field.clone(), format!("{value:?}")));
    }
}

fn write(entries: &Receiver<Message>, shared: &Shared) {
    let mut extended = Extended::default();
    while let Some(entry) = next(entries, shared) {
        entry.write(&mut extended);
        let lost = shared.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "log lines lost because the journal stood still");
        }
    }
}

/// Waits for an entry, unless the end has come and all are written.
fn next(entries: &Receiver<Message>, shared: &Shared) -> Option<Entry> {
    let message = if shared.ending.load(Ordering::Acquire) {
        entries.try_recv().ok()
    } else {
        entries.recv().ok()
    };
    match message? {
        Message::Entry(entry) => Some(entry),
        Message::End => None,
    }
}

impl Entry {
    /// Dispatches the event once more, to tracing-journald and with the fields that it adds.
    fn write(&self, extended: &mut Extended) {
        let line = self.line();
        let added = [
            self.ids.map(|ids| ids.trace.to_string()),
            self.ids.map(|ids| ids.span.to_string()),
            message_id(self.metadata.name()).map(str::to_owned),
        ];
        let metadata = extended.of(self.metadata);
        let own = self.metadata.fields().iter().map(|field| {
            let (_, text) = self.values.iter().find(|(given, _)| *given == field)?;
            let text = if field.name() == MESSAGE { &line } else { text };
            Some(text as &dyn Value)
        });
        let added = added.iter().map(|text| Some(text.as_ref()? as &dyn Value));
        let texts: Vec<Option<&dyn Value>> = own.chain(added).collect();
        Event::dispatch(metadata, &metadata.fields().value_set_all(&texts));
    }

    /// `MESSAGE=`, all that journalctl(1) shows unless it is asked for more: the message, the fields, the trace's id.
    fn line(&self) -> String {
        let is_message = |field: &Field| field.name() == MESSAGE;
        let (message, fields): (Vec<_>, Vec<_>) =
            self.values.iter().partition(|(field, _)| is_message(field));
        let mut line: String = message.into_iter().map(|(_, text)| text.as_str()).collect();
        for (field, text) in fields {
            line.push_str(&format!(" {}={text}", field.name()));
        }
        if let Some(ids) = self.ids {
            line.push_str(&format!(" trace_id={}", ids.trace));
        }
        escaped(&line)
    }
}

/// The events that matter have a name, and an id in the journal's catalog.
fn message_id(event: &str) -> Option<&'static str> {
    match event {
        "service ready" => Some("0f1ef67be4944cda80f256f9b19f5e97"),
        "query answered" => Some("639706cf8d6a4a389604c9f92f4f82c9"),
        "query failed" => Some("109c67144b5d46eb94c996a437699435"),
        "configuration refused" => Some("e5a1c3f7294b4d1c9b6e8f0a2d4c6b05"),
        "service stopping" => Some("89ce63bd0d9c4efabd28bf4139b46cbb"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
