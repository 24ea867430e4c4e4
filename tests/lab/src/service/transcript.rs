//! What a program has written to its standard error so far.

use std::io::Read;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::watched::Watched;

#[derive(Clone, Debug, Default)]
pub(super) struct Transcript(Arc<Watched<Written>>);

#[derive(Debug, Default)]
struct Written {
    bytes: Vec<u8>,
    ended: bool,
}

impl Transcript {
    /// Reads `source` in a thread of its own and calls `at_end` when nobody can write to it any more.
    pub(super) fn of(
        source: impl Read + Send + 'static,
        at_end: impl FnOnce() + Send + 'static,
    ) -> Self {
        let transcript = Self::default();
        let written = Arc::clone(&transcript.0);
        thread::spawn(move || {
            copy(source, &written);
            at_end();
        });
        transcript
    }

    pub(super) fn text(&self) -> String {
        self.0.read(|written| text(&written.bytes))
    }

    /// The text as soon as `complete` holds for it; `None` when time runs out or the program ends without it.
    pub(super) fn wait_for(
        &self,
        mut complete: impl FnMut(&str) -> bool,
        within: Duration,
    ) -> Option<String> {
        let found = self.0.wait(within, |written| {
            let text = text(&written.bytes);
            if complete(&text) {
                return Some(Some(text));
            }
            written.ended.then_some(None)
        });
        found.flatten()
    }

    /// Waits until nobody can write any more; returns all that was written.
    pub(super) fn wait_for_end(&self, within: Duration) -> Vec<u8> {
        self.0.wait(within, |written| written.ended.then_some(()));
        self.0.read(|written| written.bytes.clone())
    }
}

fn copy(mut source: impl Read, written: &Watched<Written>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = source.read(&mut buffer) {
        written.change(|written| written.bytes.extend_from_slice(&buffer[..length]));
    }
    written.change(|written| written.ended = true);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
