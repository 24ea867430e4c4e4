//! The output of a program so far.

use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::ioctl_fionread;

use super::PATIENCE;
use super::watched::Watched;

#[derive(Debug)]
pub(super) struct Transcript {
    written: Arc<Watched<Written>>,
    /// Another handle, to get the number of unread bytes.
    source: OwnedFd,
}

#[derive(Debug, Default)]
struct Written {
    bytes: Vec<u8>,
    ended: bool,
}

impl Transcript {
    /// Reads `source` in a new thread and calls `at_end` when all writers have closed it.
    pub(super) fn of(
        source: impl Read + AsFd + Send + 'static,
        at_end: impl FnOnce() + Send + 'static,
    ) -> Self {
        let transcript = Self {
            written: Arc::default(),
            source: source
                .as_fd()
                .try_clone_to_owned()
                .expect("a descriptor can be duplicated"),
        };
        let written = Arc::clone(&transcript.written);
        thread::spawn(move || {
            copy(source, &written);
            at_end();
        });
        transcript
    }

    /// All output that was written before this call.
    pub(super) fn text(&self) -> String {
        let mut length = None;
        self.written.wait(PATIENCE, |written| {
            // The thread reads only while it holds this lock, so every byte is either in `written` or unread.
            let unread = || usize::try_from(ioctl_fionread(&self.source).ok()?).ok();
            let length =
                *length.get_or_insert_with(|| written.bytes.len() + unread().unwrap_or_default());
            (written.ended || written.bytes.len() >= length).then_some(())
        });
        self.written.read(|written| text(&written.bytes))
    }

    /// Waits until `complete` accepts the text, and returns it; `None` if time runs out or the program ends before.
    pub(super) fn wait_for(
        &self,
        mut complete: impl FnMut(&str) -> bool,
        within: Duration,
    ) -> Option<String> {
        let found = self.written.wait(within, |written| {
            let text = text(&written.bytes);
            if complete(&text) {
                return Some(Some(text));
            }
            written.ended.then_some(None)
        });
        found.flatten()
    }

    /// Waits until all writers have closed the source; returns the whole output.
    pub(super) fn wait_for_end(&self, within: Duration) -> Vec<u8> {
        self.written
            .wait(within, |written| written.ended.then_some(()));
        self.written.read(|written| written.bytes.clone())
    }
}

fn copy(mut source: impl Read + AsFd, written: &Watched<Written>) {
    let mut buffer = vec![0; 64 * 1024];
    let mut ended = false;
    while !ended {
        // If poll(2) fails, read(2) fails, too.
        let _ = poll(&mut [PollFd::new(&source, PollFlags::IN)], None);
        written.change(|written| {
            match source.read(&mut buffer) {
                Ok(length @ 1..) => written.bytes.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => ended = true,
            }
            written.ended = ended;
        });
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
