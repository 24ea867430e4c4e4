//! How it looks: plain text, no line longer than 100 columns.

use std::io::{self, IsTerminal, Write};

use crate::{Break, Step};

/// Columns.
const WIDTH: usize = 100;
/// What the further lines of a long line begin with.
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

    /// A heading, numbered.
    pub(super) fn step(&mut self, title: &str) -> Step {
        self.steps += 1;
        let heading = format!("{}. {title}", self.steps);
        if self.bold {
            return write(&format!("\n\x1b[1m{heading}\x1b[0m\n"));
        }
        write(&format!("\n{heading}\n"))
    }

    /// A sentence, or a line of the service's log.
    pub(super) fn say(&mut self, line: &str) -> Step {
        write(&wrap(line))
    }

    /// What an operator would type.
    pub(super) fn command(&mut self, command: &str) -> Step {
        write(&format!("  $ {command}\n"))
    }

    /// Lines as they are, each ending with a newline.
    pub(super) fn show(&mut self, lines: &str) -> Step {
        write(lines)
    }
}

/// A reader that has gone is an error here, not a panic.
fn write(text: &str) -> Step {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(Break::because("standard output"))
}

/// Broken between words. A word that is longer than a line stays whole.
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
