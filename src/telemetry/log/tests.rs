//! The queue and its end.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::sync_channel,
    },
    thread,
    time::{Duration, SystemTime},
};

use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt;

use super::{Entry, Log, LogLayer, Message, QUEUE, Shared, write};

/// An arbitrary entry.
fn entry() -> Box<Entry> {
    let metadata = tracing::subscriber::with_default(tracing_subscriber::registry(), || {
        tracing::info_span!("any").metadata()
    });
    Box::new(Entry {
        time: SystemTime::UNIX_EPOCH,
        metadata: metadata.expect("the span is enabled"),
        values: Vec::new(),
        span: None,
    })
}

#[test]
fn the_end_waits_for_a_full_queue() {
    let (queue, entries) = sync_channel(QUEUE);
    let (finish, finished) = sync_channel(1);
    let shared = Arc::new(Shared::new(|| ()));
    shared.waiting.store(QUEUE as u64, Ordering::Relaxed);
    for _ in 0..QUEUE {
        queue.try_send(Message::Entry(entry())).unwrap();
    }
    let log = Log {
        queue,
        shared: Arc::clone(&shared),
        limit: Duration::from_secs(60),
        finished,
        ended: CancellationToken::new(),
    };
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    thread::spawn(move || {
        // The queue is full when the end comes.
        while !shared.ending.load(Ordering::Acquire) {
            thread::yield_now();
        }
        let output = |_: &Entry| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        write(output, &entries, &shared);
        finish.send(()).expect("it is waited for");
    });
    drop(log);
    assert_eq!(written.load(Ordering::Relaxed), QUEUE);
}

#[test]
fn entries_still_queued_at_the_end_are_counted_as_lost() {
    let counted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&counted);
    let shared = Shared::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    shared.dropped();
    shared.waiting.store(2, Ordering::Relaxed);
    assert_eq!(shared.give_up(), 3);
    assert_eq!(counted.load(Ordering::Relaxed), 3);
    assert_eq!(shared.give_up(), 0);
}

/// The number of unreported lines after one was dropped, the end was requested, and a queued one was written with this result.
fn unreported_after(written: fn() -> io::Result<()>) -> u64 {
    let (queue, entries) = sync_channel(QUEUE);
    let shared = Shared::new(|| ());
    shared.dropped();
    shared.waiting.store(1, Ordering::Relaxed);
    shared.ending.store(true, Ordering::Release);
    queue.try_send(Message::Entry(entry())).unwrap();
    queue.try_send(Message::End).unwrap();
    write(|_| written(), &entries, &shared);
    shared.give_up()
}

#[test]
fn lines_that_were_dropped_are_reported_before_the_end() {
    assert_eq!(unreported_after(|| Ok(())), 0);
}

#[test]
fn no_report_is_written_where_a_line_could_not_be() {
    assert_eq!(unreported_after(|| Err(io::ErrorKind::NotFound.into())), 2);
}

#[test]
fn an_endless_value_is_cut_before_it_waits() {
    let (queue, entries) = sync_channel(QUEUE);
    let shared = Arc::new(Shared::new(|| ()));
    let subscriber = tracing_subscriber::registry().with(LogLayer { queue, shared });
    let endless = "x".repeat(1024 * 1024);
    tracing::subscriber::with_default(subscriber, || {
        tracing::error!(text = endless, "text");
        tracing::error!(shown = %endless, "shown");
    });
    for message in entries {
        let Message::Entry(entry) = message else {
            panic!("the end has not come");
        };
        let text = entry.text(|text| text.as_str().to_owned());
        assert!(text.len() < 9 * 1024, "{}", text.len());
    }
}
