//! The queue and its end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::sync_channel,
    },
    thread,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{Entry, Journal, Message, QUEUE, Shared, next};

/// Any.
fn entry() -> Entry {
    let metadata = tracing::subscriber::with_default(tracing_subscriber::registry(), || {
        tracing::info_span!("any").metadata()
    });
    Entry {
        metadata: metadata.expect("the span is enabled"),
        values: Vec::new(),
        ids: None,
    }
}

#[test]
fn the_end_waits_for_a_full_queue() {
    let (queue, entries) = sync_channel(QUEUE);
    let (end, ended) = sync_channel(1);
    let shared = Arc::new(Shared::default());
    for _ in 0..QUEUE {
        queue.try_send(Message::Entry(entry())).unwrap();
    }
    let journal = Journal {
        queue,
        shared: Arc::clone(&shared),
        ended,
        lost: CancellationToken::new(),
    };
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    thread::spawn(move || {
        // The queue is full when the end comes.
        while !shared.ending.load(Ordering::Acquire) {
            thread::yield_now();
        }
        while next(&entries, &shared).is_some() {
            count.fetch_add(1, Ordering::Relaxed);
        }
        end.send(()).expect("it is waited for");
    });
    journal.drain(Duration::from_secs(60));
    assert_eq!(written.load(Ordering::Relaxed), QUEUE);
}
