//! Logs panics: the default hook would write to standard error, and could block there.

use std::{panic, thread};

use super::log;
use crate::work;

/// Logs each panic as one line at error, unless the log's own thread panics.
pub(super) fn log() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let thread = thread::current();
        if thread.name() == Some(log::THREAD) {
            return default(panic);
        }
        let location = panic.location().map(tracing::field::display);
        tracing::error!(panic = work::message(panic.payload()), location, "panicked");
    }));
}
