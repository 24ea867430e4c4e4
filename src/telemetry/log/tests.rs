//! The queue and its end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
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
    let shared = Arc::new(Shared {
        unreported: AtomicU64::new(0),
        on_drop: Box::new(|| ()),
        ending: AtomicBool::new(false),
    });
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
