//! The log: each event becomes an entry in a bounded queue, and a thread writes it to the journal or to standard error.
//!
//! Both block their writers while their reader is slow, and this process serves scrapes from one thread. Lines that do not fit into
//! the queue, or that standard error refuses, are counted, and reported as soon as lines can be written again. tracing-journald does
//! not report entries that the journal refuses.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use tracing::{Event, Subscriber};
use tracing_subscriber::{Layer, filter::Targets, layer::Context};

mod entry;
mod journal;
mod stderr;

pub(super) use stderr::Format;

use entry::Entry;
use journal::Journal;

use crate::words::counted;

/// The name of the thread, the only one that may block on the log.
pub(super) const THREAD: &str = "log";

/// Capacity of the queue, in entries.
const QUEUE: usize = 1024;

/// The thread that writes the log. Dropping it writes the queued lines, for at most `limit`.
#[derive(Debug)]
pub(super) struct Log {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
    limit: Duration,
    finished: Receiver<()>,
    ended: CancellationToken,
}

/// Puts each event into the queue.
#[derive(Debug)]
pub(super) struct LogLayer {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
}

/// State of the layer, the thread and its owner.
struct Shared {
    /// Lines that are not written yet.
    waiting: AtomicU64,
    /// Lines that are lost and not yet reported.
    unreported: AtomicU64,
    /// Called for each line that is lost.
    on_drop: Box<dyn Fn() + Send + Sync>,
    /// Whether the thread must end once the queue is empty.
    ending: AtomicBool,
}

#[derive(Debug)]
enum Message {
    Entry(Box<Entry>),
    /// Wakes the thread if it waits.
    End,
}

/// Starts the thread. It writes to the journal if standard error is connected to it and its socket exists, otherwise to standard
/// error. `on_drop` is called for each line that is lost.
///
/// # Errors
///
/// When the thread cannot be started.
pub(super) fn start(
    filter: Targets,
    format: Format,
    limit: Duration,
    on_drop: impl Fn() + Send + Sync + 'static,
) -> io::Result<(LogLayer, Log)> {
    let (queue, entries) = sync_channel(QUEUE);
    let (finish, finished) = sync_channel(1);
    let shared = Arc::new(Shared::new(on_drop));
    let log = Log {
        queue: queue.clone(),
        shared: Arc::clone(&shared),
        limit,
        finished,
        ended: CancellationToken::new(),
    };
    let layer = LogLayer {
        queue,
        shared: Arc::clone(&shared),
    };
    let at_the_end = log.ended.clone().drop_guard();
    thread::Builder::new()
        .name(THREAD.to_owned())
        .spawn(move || {
            let _at_the_end = at_the_end;
            let mut journal = Journal::open(filter);
            let output = |entry: &_| match &mut journal {
                Some(journal) => {
                    journal.write(entry, format);
                    Ok(())
                }
                None => stderr::write(entry, format),
            };
            write(output, &entries, &shared);
            // The owner may have stopped waiting.
            let _ = finish.send(());
        })?;
    Ok((layer, log))
}

impl Log {
    /// Cancelled when the thread has ended, by a panic too.
    pub(super) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Release);
        // If the queue is full, no wake-up is needed: the thread looks at `ending` before it waits.
        let _ = self.queue.try_send(Message::End);
        let _ = self.finished.recv_timeout(self.limit);
        let lost = self.shared.give_up();
        if lost > 0 {
            stderr::report(&format!(
                "{} could not be written before the end",
                counted(lost, "log line")
            ));
        }
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let entry = Box::new(Entry::of(event));
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Message::Entry(entry)) {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            self.shared.dropped();
        }
    }
}

impl Shared {
    fn new(on_drop: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            waiting: AtomicU64::new(0),
            unreported: AtomicU64::new(0),
            on_drop: Box::new(on_drop),
            ending: AtomicBool::new(false),
        }
    }

    /// Counts the lines in the queue as lost; returns the number of lost lines that were not reported.
    fn give_up(&self) -> u64 {
        for _ in 0..self.waiting.swap(0, Ordering::Relaxed) {
            self.dropped();
        }
        self.unreported.swap(0, Ordering::Relaxed)
    }

    fn dropped(&self) {
        self.unreported.fetch_add(1, Ordering::Relaxed);
        (self.on_drop)();
    }

    fn report_dropped(&self) {
        let lines = self.unreported.swap(0, Ordering::Relaxed);
        if lines > 0 {
            tracing::warn!(lines, "log lines dropped because the log did not take them");
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Writes entries until the end is requested and the queue is empty.
fn write(
    mut output: impl FnMut(&Entry) -> io::Result<()>,
    entries: &Receiver<Message>,
    shared: &Shared,
) {
    while let Some(entry) = next(entries, shared) {
        let written = output(&entry).is_ok();
        let was_last = shared.waiting.fetch_sub(1, Ordering::Relaxed) == 1;
        if !written {
            shared.dropped();
        } else if was_last {
            // The report goes through the queue, after the lines that were queued before the dropped ones.
            shared.report_dropped();
        }
    }
}

/// Waits for an entry; `None` at the end.
fn next(entries: &Receiver<Message>, shared: &Shared) -> Option<Box<Entry>> {
    loop {
        let message = if shared.ending.load(Ordering::Acquire) {
            entries.try_recv().ok()
        } else {
            entries.recv().ok()
        };
        if let Message::Entry(entry) = message? {
            return Some(entry);
        }
    }
}

#[cfg(test)]
mod tests;
