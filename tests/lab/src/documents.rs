//! README.md and docs/: their fenced blocks, which say where their commands are run.
//!
//! The first word after the fence is the language, the second one the place, see [`Place`].

use std::fs;
use std::path::{Path, PathBuf};

/// A page of the documentation.
#[derive(Clone, Debug)]
pub struct Page {
    /// Relative to the sources, such as `docs/systemd.md`.
    pub name: String,
    /// The whole page.
    pub text: String,
}

/// A fenced block of a page.
#[derive(Clone, Debug)]
pub struct Block {
    /// `sh`, `console`, `yaml` and so on.
    pub language: String,
    /// What follows the language.
    pub place: Place,
    /// Its number in the page, from 1.
    pub line: usize,
    /// What is between the fences.
    pub text: String,
}

/// Where the commands of a block are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `host`: on a booted machine. Followed by a path, the block is that file's content.
    Host(Option<String>),
    /// `checkout`: in a checkout of the sources.
    Checkout,
    /// `needs …`: not run; the text says what is missing.
    Needs(String),
    /// Not commands.
    None,
}

/// A command, with the lines of output that the page shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// One line or several, as typed.
    pub text: String,
    /// In their order; others may be between them.
    pub output: Vec<String>,
}

/// README.md and the pages of docs/, in the order of their names.
///
/// # Panics
///
/// If they cannot be read.
pub fn pages() -> Vec<Page> {
    let root = root();
    let docs = fs::read_dir(root.join("docs")).expect("there is a folder docs");
    let docs = docs.map(|page| page.expect("it can be listed").file_name());
    let docs = docs.map(|name| format!("docs/{}", name.display()));
    let docs = docs.filter(|name| name.ends_with(".md"));
    let mut names: Vec<String> = docs.chain(["README.md".to_owned()]).collect();
    names.sort();
    let read = |name: String| {
        let text = fs::read_to_string(root.join(&name)).expect("pages are text");
        Page { name, text }
    };
    names.into_iter().map(read).collect()
}

/// The folder of the sources.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

impl Page {
    /// The blocks in their order.
    ///
    /// # Panics
    ///
    /// If a fence has no language or an unknown place, or is not closed.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut lines = self.text.lines().zip(1..);
        while let Some((text, line)) = lines.next() {
            let Some(info) = text.strip_prefix("```") else {
                continue;
            };
            let (language, place) = info.split_once(' ').unwrap_or((info, ""));
            assert!(!language.is_empty(), "{}:{line}: no language", self.name);
            let mut block = Block {
                language: language.to_owned(),
                place: Place::parse(place)
                    .unwrap_or_else(|| panic!("{}:{line}: unknown place {place:?}", self.name)),
                line,
                text: String::new(),
            };
            loop {
                let (text, _) = lines
                    .next()
                    .unwrap_or_else(|| panic!("{}:{line}: not closed", self.name));
                if text == "```" {
                    break;
                }
                block.text.push_str(text);
                block.text.push('\n');
            }
            blocks.push(block);
        }
        blocks
    }

    /// The lines that are in no block.
    pub fn prose(&self) -> impl Iterator<Item = &str> {
        let mut inside = false;
        self.text.lines().filter(move |line| {
            let fence = line.starts_with("```");
            inside ^= fence;
            !inside && !fence
        })
    }
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once(' ') {
            None if text.is_empty() => Some(Self::None),
            None if text == "host" => Some(Self::Host(None)),
            None if text == "checkout" => Some(Self::Checkout),
            Some(("host", path)) if path.starts_with('/') => {
                Some(Self::Host(Some(path.to_owned())))
            }
            Some(("needs", what)) => Some(Self::Needs(what.to_owned())),
            _ => None,
        }
    }
}

impl Block {
    /// Whether it has commands.
    pub fn has_commands(&self) -> bool {
        matches!(self.language.as_str(), "sh" | "console")
    }

    /// Its commands: in `console`, the lines that begin with `# `, and what is shown below each; in `sh` every line that is not a
    /// comment. A backslash at the end of a line, and a here-document, continue a command.
    pub fn commands(&self) -> Vec<Command> {
        let mut commands: Vec<Command> = Vec::new();
        let mut lines = self.text.lines();
        while let Some(line) = lines.next() {
            let typed = match self.language.as_str() {
                "console" => line.strip_prefix("# "),
                _ => Some(line).filter(|line| !line.is_empty() && !line.starts_with('#')),
            };
            if let Some(typed) = typed {
                let mut text = typed.to_owned();
                while !is_complete(&text)
                    && let Some(more) = lines.next()
                {
                    text = format!("{text}\n{more}");
                }
                let output = Vec::new();
                commands.push(Command { text, output });
            } else if let Some(command) = commands.last_mut() {
                command.output.push(line.to_owned());
            }
        }
        commands
    }
}

fn is_complete(command: &str) -> bool {
    let here = command
        .split_once("<<'")
        .and_then(|(_, word)| word.split_once('\''));
    match here {
        Some((end, rest)) => rest.lines().any(|line| line == end),
        None => !command.ends_with('\\'),
    }
}

#[cfg(test)]
mod tests {
    use super::{Page, Place};

    fn page(text: &str) -> Page {
        let name = "page.md".to_owned();
        let text = text.to_owned();
        Page { name, text }
    }

    #[test]
    fn commands_are_separated_from_their_output() {
        let page = page("a\n```console host\n# one \\\n  two\n1\n…\n# three\n```\nb\n");
        assert_eq!(page.prose().collect::<Vec<_>>(), ["a", "b"]);
        let blocks = page.blocks();
        assert_eq!((blocks[0].line, &blocks[0].place), (2, &Place::Host(None)));
        let commands = blocks[0].commands();
        assert_eq!(commands[0].text, "one \\\n  two");
        assert_eq!(commands[0].output, ["1", "…"]);
        assert_eq!(commands[1].text, "three");
        assert_eq!(commands.len(), 2);
    }

    #[test]
    fn a_here_document_is_part_of_its_command() {
        let page = page("```sh host\ncat >a <<'END'\n# not a comment\nEND\n# a comment\nls\n```\n");
        let commands = page.blocks()[0].commands();
        let texts: Vec<&str> = commands
            .iter()
            .map(|command| command.text.as_str())
            .collect();
        assert_eq!(texts, ["cat >a <<'END'\n# not a comment\nEND", "ls"]);
    }

    #[test]
    #[should_panic(expected = "page.md:1: unknown place \"hst\"")]
    fn a_place_that_is_misspelt_is_not_taken_for_none() {
        page("```sh hst\nls\n```\n").blocks();
    }
}
