//! Takes over the state that the previous process kept in systemd's descriptor store.

use std::{error::Error, io, os::fd::OwnedFd};

use crate::{
    metrics::Kept,
    notify::{FdStore, Notifier},
    units::ago,
};

/// Restores the state of the previous process, and at once stores a record of this run, by which the next process detects an
/// unexpected end.
pub fn take_over(kept: &Kept, stored: Vec<(String, OwnedFd)>, notifier: &Notifier) -> FdStore {
    let (fd_store, record) = FdStore::recover(stored, notifier.clone());
    if let Some(record) = record {
        restore(kept, record);
    }
    fd_store.keep(&kept.record(), &kept.short_record());
    fd_store
}

/// Restores the numbers of an earlier process, whose timestamps show their age, and logs an unexpected end. An unreadable record is
/// dropped; the next one replaces it.
fn restore(kept: &Kept, record: io::Result<Vec<u8>>) {
    let restored = record
        .map_err(Box::<dyn Error>::from)
        .and_then(|record| Ok(kept.restore(&record)?));
    match restored {
        Ok(dropped) if dropped.is_empty() => tracing::debug!("kept numbers restored"),
        Ok(dropped) => tracing::info!(
            stores = %dropped.join(","),
            "kept numbers dropped, their stores are no longer configured"
        ),
        Err(error) => tracing::warn!(%error, "kept numbers dropped"),
    }
    if let Some(streak) = kept.run().streak() {
        tracing::warn!(
            name: "service ended unexpectedly",
            {
                ends = streak.ends,
                first = ago(streak.since),
                cure = "journalctl -u exp-rkt-grpc shows what came before this line",
            },
            "the service ended without being asked to and was started again"
        );
    }
}
