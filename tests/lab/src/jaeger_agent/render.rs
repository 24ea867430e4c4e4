//! Renders a trace as a tree, for a terminal of 100 columns.

use std::collections::{BTreeMap, BTreeSet};

use super::batch::{Log, Span, Value};
use super::trace::Trace;

/// Maximum length of a line, in characters.
const WIDTH: usize = 100;
/// Maximum length of a name including its indentation in the tree, in characters.
const NAME_WIDTH: usize = 46;
/// Maximum number of lines for a span or event.
const MAX_LINES: usize = 4;
/// These tags are shown first.
const FIRST: [&str; 3] = ["trigger", "error.type", "rpc.response.status_code"];
/// These tags are hidden: the tree shows them in another way, or they are not interesting.
const HIDDEN: [&str; 9] = [
    "busy_ns",
    "error",
    "event",
    "idle_ns",
    "level",
    "rpc.method",
    "rpc.system.name",
    "span.kind",
    "target",
];
/// Tags with these prefixes are hidden, too.
const HIDDEN_PREFIXES: [&str; 3] = ["code.", "otel.", "thread."];

/// A line before the widths of its columns are known.
struct Row {
    name: String,
    /// The part of the tree in front of further lines of notes.
    trunk: String,
    offset: String,
    duration: String,
    notes: Vec<String>,
}

/// A tree that is being drawn.
struct Tree<'a> {
    trace: &'a Trace,
    start_micros: i64,
    drawn: BTreeSet<*const Span>,
    rows: Vec<Row>,
}

impl Trace {
    /// The trace as a tree: a line for each span with its offset from the start of the trace, its duration and its tags, and a
    /// line for each event below its span. Lines end with a newline and have at most 100 characters. Long lists of tags are
    /// wrapped to a few lines; the rest is cut and marked with `…`.
    pub fn render(&self) -> String {
        let start_micros = self
            .spans
            .iter()
            .map(|span| span.start_micros)
            .min()
            .unwrap_or(0);
        let mut tree = Tree {
            trace: self,
            start_micros,
            drawn: BTreeSet::new(),
            rows: Vec::new(),
        };
        for root in self.roots() {
            tree.draw(root, "", "");
        }
        // Spans in a cycle of parents are not reachable from a root.
        for span in &self.spans {
            tree.draw(span, "? ", "  ");
        }
        let spans = match self.spans.len() {
            1 => "1 span".to_owned(),
            count => format!("{count} spans"),
        };
        let head = format!("trace {}  {}  {spans}", self.id_hex(), self.process.service);
        cut(&head, WIDTH) + "\n" + &layout(&tree.rows)
    }
}

impl<'a> Tree<'a> {
    /// Draws a span and its children. `branch` is the tree in front of the span's name, `trunk` the tree in front of the lines
    /// below.
    fn draw(&mut self, span: &'a Span, branch: &str, trunk: &str) {
        if !self.drawn.insert(span) {
            return;
        }
        let children = self.trace.children_of(span);
        let bar = if children.is_empty() { "  " } else { "│ " };
        self.rows.push(Row {
            name: format!("{branch}{}", span.operation),
            trunk: format!("{trunk}{bar}"),
            offset: self.offset(span.start_micros),
            duration: milliseconds(span.duration_micros),
            notes: span_notes(span),
        });
        for log in &span.logs {
            self.draw_log(log, &format!("{trunk}{bar}"));
        }
        let last = children.len().saturating_sub(1);
        for (index, child) in children.into_iter().enumerate() {
            let (branch, below) = if index == last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            self.draw(
                child,
                &format!("{trunk}{branch}"),
                &format!("{trunk}{below}"),
            );
        }
    }

    fn draw_log(&mut self, log: &Log, trunk: &str) {
        let name = log.name().unwrap_or_else(|| "event".to_owned());
        self.rows.push(Row {
            name: format!("{trunk}• {name}"),
            trunk: trunk.to_owned(),
            offset: self.offset(log.timestamp_micros),
            duration: String::new(),
            notes: tag_notes(&log.fields),
        });
    }

    fn offset(&self, micros: i64) -> String {
        let offset = milliseconds(micros.saturating_sub(self.start_micros));
        if offset.starts_with('-') {
            offset
        } else {
            format!("+{offset}")
        }
    }
}

fn layout(rows: &[Row]) -> String {
    let widest = |column: fn(&Row) -> &str| {
        rows.iter()
            .map(|row| column(row).chars().count())
            .max()
            .unwrap_or(0)
    };
    let name = widest(|row| &row.name).min(NAME_WIDTH);
    let (offset, duration) = (widest(|row| &row.offset), widest(|row| &row.duration));
    let room = WIDTH.saturating_sub(name + offset + duration + 6);
    let lines = |row: &Row| {
        let first = (
            cut(&row.name, name),
            row.offset.as_str(),
            row.duration.as_str(),
        );
        let further = (cut(&row.trunk, name), "", "");
        let starts = std::iter::once(first).chain(std::iter::repeat(further));
        let line = |((tree, start, took), notes): ((String, &str, &str), String)| {
            let line = format!("{tree:name$}  {start:>offset$}  {took:>duration$}  {notes}");
            line.trim_end().to_owned() + "\n"
        };
        starts
            .zip(wrap(&row.notes, room))
            .map(line)
            .collect::<String>()
    };
    rows.iter().map(lines).collect()
}

/// Wraps the notes to lines of at most `room` characters: at least one line, at most [`MAX_LINES`].
fn wrap(notes: &[String], room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in notes.iter().flat_map(|note| note.split(' ')) {
        let full = lines.len() == MAX_LINES;
        let last = lines.last_mut().expect("there is at least one line");
        if last.is_empty() {
            *last = cut(word, room);
        } else if last.chars().count() + 1 + word.chars().count() <= room {
            *last += " ";
            *last += word;
        } else if full {
            *last = cut(&format!("{last} …"), room);
            break;
        } else {
            lines.push(cut(word, room));
        }
    }
    lines
}

fn span_notes(span: &Span) -> Vec<String> {
    let mut notes = Vec::new();
    if span.is_error() {
        let why = span.text("otel.status_description").unwrap_or_default();
        notes.push(format!("✗ {}", one_line(&why)).trim_end().to_owned());
    }
    notes.extend(tag_notes(&span.tags));
    notes
}

/// The tags that are not hidden, as `key=value`.
fn tag_notes(tags: &BTreeMap<String, Value>) -> Vec<String> {
    let first = FIRST.iter().filter_map(|key| tags.get_key_value(*key));
    let others = tags.iter().filter(|(key, _)| {
        let key = key.as_str();
        let hidden = HIDDEN_PREFIXES.iter().any(|prefix| key.starts_with(prefix));
        !FIRST.contains(&key) && !HIDDEN.contains(&key) && !hidden
    });
    first
        .chain(others)
        .map(|(key, value)| one_line(&format!("{key}={value}")))
        .collect()
}

/// Values come from the network: their control characters must not reach a terminal.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn cut(text: &str, width: usize) -> String {
    let text = one_line(text);
    if text.chars().count() <= width {
        return text;
    }
    text.chars()
        .take(width.saturating_sub(1))
        .chain(['…'])
        .collect()
}

fn milliseconds(micros: i64) -> String {
    format!("{:.1} ms", micros as f64 / 1000.0)
}
