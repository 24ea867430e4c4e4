//! The layout of the output: plain text, at most 100 columns wide.

use std::io::{self, IsTerminal, Write};

use crate::{Break, Step};

/// Columns.
const WIDTH: usize = 100;
/// The indentation of continuation lines.
const INDENT: &str = "    ";

/// Standard output.
#[derive(Debug)]
pub(super) struct Screen {
    steps: usize,
    bold: bool,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self {
            steps: 0,
            bold: io::stdout().is_terminal(),
        }
    }

    /// A numbered heading.
    pub(super) fn step(&mut self, title: &str) -> Step {
        self.steps += 1;
        let heading = format!("{}. {title}", self.steps);
        if self.bold {
            return write(&format!("\n\x1b[1m{heading}\x1b[0m\n"));
        }
        write(&format!("\n{heading}\n"))
    }

    /// A sentence, or a line of the service's log.
    pub(super) fn print(&mut self, line: &str) -> Step {
        write(&wrap(line))
    }

    /// A shell command.
    pub(super) fn command(&mut self, command: &str) -> Step {
        write(&format!("  $ {command}\n"))
    }

    /// Unwrapped lines, each with its newline.
    pub(super) fn show(&mut self, lines: &str) -> Step {
        write(lines)
    }
}

/// Returns an error if the reader has gone, where `println!` would panic.
fn write(text: &str) -> Step {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(Break::because("cannot write to standard output"))
}

/// Wraps text between words. A word that is longer than a line is not split.
fn wrap(text: &str) -> String {
    let mut wrapped = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            wrapped += "\n";
            wrapped += INDENT;
            column = INDENT.len();
        } else if column > 0 {
            wrapped += " ";
            column += 1;
        }
        wrapped += word;
        column += length;
    }
    wrapped + "\n"
}
