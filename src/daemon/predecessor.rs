//! What the process before this one has kept in systemd's descriptor store.

use std::{error::Error, io, os::fd::OwnedFd};

use crate::{
    metrics::Kept,
    notify::{FdStore, Notifier},
    observe::ago,
};

/// Takes up what the process before this one has kept, and records at once that this one runs: if it ends without being asked to,
/// the next one is to know.
pub fn take_over(kept: &Kept, stored: Vec<(String, OwnedFd)>, notifier: &Notifier) -> FdStore {
    let (fd_store, record) = FdStore::recover(stored, notifier.clone());
    if let Some(record) = record {
        restore(kept, record);
    }
    fd_store.keep(&kept.record(), &kept.short_record());
    fd_store
}

/// The numbers of an earlier process, with their age in their timestamps, and how it ended. What cannot be read is forgotten: the
/// next record takes its place.
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
    if let Some(row) = kept.run().row() {
        tracing::warn!(
            name: "service ended unexpectedly",
            {
                ends = row.ends,
                first = ago(row.since),
                cure = "journalctl -u exp-rkt-grpc shows what came before this line",
            },
            "the service ended without being asked to and was started again"
        );
    }
}
