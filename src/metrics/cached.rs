//! The text of what has not changed since the last scrape.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A text that is made anew only after something has changed: encoding it costs most of a scrape.
#[derive(Debug, Default)]
pub(super) struct CachedText(Mutex<Option<Vec<u8>>>);

impl CachedText {
    /// Something has changed.
    pub(super) fn outdate(&self) {
        self.lock().take();
    }

    /// A copy of the text, made by `encode` when there is none.
    pub(super) fn get_or<E>(
        &self,
        encode: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        let mut text = self.lock();
        if let Some(text) = &*text {
            return Ok(text.clone());
        }
        Ok(text.insert(encode()?).clone())
    }

    /// A text is there whole or not at all, also after a panic.
    fn lock(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
