//! The log on standard error, for people.

use std::io::{self, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::entry::{Entry, Text};
use crate::words::{escaped, escaped_lines};

/// Prefix of lines that are not log entries.
const NAME: &str = env!("CARGO_PKG_NAME");

/// What entries look like on standard error.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Format {
    /// Time, level, message and fields, and the trace id within a query.
    Lines,
    /// The program's name and the lines of the field `error`: why the program ends.
    LastWords,
}

impl Format {
    fn show(self, entry: &Entry) -> String {
        match self {
            Self::Lines => {
                let time = humantime::format_rfc3339_micros(entry.time);
                let level = entry.metadata.level();
                let text = entry.text(|text| match text {
                    Text::Str(text) => format!("{text:?}"),
                    Text::Shown(text) => text.clone(),
                });
                format!("{time} {level:>5} {}\n", escaped(&text))
            }
            Self::LastWords => {
                let error = entry.value("error").map_or("", Text::as_str);
                format!("{NAME}: {}\n", escaped_lines(error))
            }
        }
    }
}

/// Writes an entry; blocks while standard error is full.
pub(super) fn write(entry: &Entry, format: Format) -> io::Result<()> {
    io::stderr().write_all(format.show(entry).as_bytes())
}

/// Writes this line, with the program's name, if standard error accepts it at once: the log's thread may block on it, and then
/// holds its lock.
pub(super) fn report(text: &str) {
    let stderr = io::stderr();
    let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
    let now = Timespec::default();
    if poll(&mut ready, Some(&now)) == Ok(1) && ready[0].revents().contains(PollFlags::OUT) {
        // A failure cannot be reported anywhere.
        let _ = rustix::io::write(&stderr, format!("{NAME}: {text}\n").as_bytes());
    }
}
