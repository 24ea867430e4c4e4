//! Limits how many machines exist at the same time.

use std::sync::{Condvar, Mutex, PoisonError};

/// Maximum number of machines: as many as two CPUs can handle.
const SLOTS: usize = 2;

static TAKEN: Mutex<usize> = Mutex::new(0);
static RELEASED: Condvar = Condvar::new();

/// A slot for one machine, released when dropped.
#[derive(Debug)]
pub(super) struct Slot(());

impl Slot {
    /// Waits for a free slot.
    pub(super) fn take() -> Self {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = RELEASED
            .wait_while(taken, |taken| *taken >= SLOTS)
            .unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
        Self(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        RELEASED.notify_one();
    }
}
