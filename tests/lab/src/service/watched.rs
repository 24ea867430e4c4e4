//! A value that one thread changes and others wait for.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(super) struct Watched<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    pub(super) fn change(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    pub(super) fn read<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.lock())
    }

    /// Calls `find` with the value now and after every change, until it returns something; `None` if time runs out.
    pub(super) fn wait<R>(
        &self,
        within: Duration,
        mut find: impl FnMut(&mut T) -> Option<R>,
    ) -> Option<R> {
        let deadline = Instant::now() + within;
        let mut value = self.lock();
        loop {
            if let Some(found) = find(&mut value) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let (woken, _) = self
                .changed
                .wait_timeout(value, left)
                .expect("no thread panics while it holds the lock");
            value = woken;
        }
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.value
            .lock()
            .expect("no thread panics while it holds the lock")
    }
}
