//! The log on standard error, for people.

use std::io::{self, Write};

use super::entry::{Entry, Text};

/// What entries look like on standard error.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Format {
    /// Time, level, message and fields, and the trace id within a query.
    Lines,
    /// The program's name and the field `error` as it is: why the program ends.
    LastWords,
}

impl Format {
    fn show(self, entry: &Entry) -> String {
        match self {
            Self::Lines => {
                let time = humantime::format_rfc3339_micros(entry.time);
                let level = entry.metadata.level();
                let line = entry.line(|text| match text {
                    Text::Str(text) => format!("{text:?}"),
                    Text::Shown(text) => text.clone(),
                });
                format!("{time} {level:>5} {line}\n")
            }
            Self::LastWords => {
                let error = entry.value("error").map_or("", Text::as_str);
                format!("{}: {error}\n", env!("CARGO_PKG_NAME"))
            }
        }
    }
}

/// Waits until standard error has taken it.
pub(super) fn write(entry: &Entry, format: Format) -> io::Result<()> {
    io::stderr().write_all(format.show(entry).as_bytes())
}
