//! The queue and its end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::sync_channel,
    },
    thread,
    time::{Duration, SystemTime},
};

use tokio_util::sync::CancellationToken;

use super::{Entry, Log, Message, QUEUE, Shared, next};

/// Any.
fn entry() -> Box<Entry> {
    let metadata = tracing::subscriber::with_default(tracing_subscriber::registry(), || {
        tracing::info_span!("any").metadata()
    });
    Box::new(Entry {
        time: SystemTime::UNIX_EPOCH,
        metadata: metadata.expect("the span is enabled"),
        values: Vec::new(),
        ids: None,
    })
}

#[test]
fn the_end_waits_for_a_full_queue() {
    let (queue, entries) = sync_channel(QUEUE);
    let (finish, finished) = sync_channel(1);
    let shared = Arc::new(Shared::new(|| ()));
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
        while next(&entries, &shared, true).is_some() {
            count.fetch_add(1, Ordering::Relaxed);
        }
        finish.send(()).expect("it is waited for");
    });
    drop(log);
    assert_eq!(written.load(Ordering::Relaxed), QUEUE);
}

#[test]
fn what_is_still_waiting_at_the_end_is_lost_and_counted() {
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

#[test]
fn lines_that_were_dropped_are_reported_before_the_end() {
    let (queue, entries) = sync_channel(QUEUE);
    let shared = Shared::new(|| ());
    shared.dropped();
    shared.ending.store(true, Ordering::Release);
    queue.try_send(Message::Entry(entry())).unwrap();
    queue.try_send(Message::End).unwrap();
    assert!(next(&entries, &shared, true).is_some());
    assert!(next(&entries, &shared, true).is_none());
    assert_eq!(shared.give_up(), 0);
}
