//! The messages in `docs/troubleshooting.md`: those of the mistakes that tests make, and all others.

const PAGE: &str = include_str!("../../../docs/troubleshooting.md");

/// First cells of the headers of tables whose rows begin with messages of the program.
const OF_MESSAGES: [&str; 3] = ["message", "log line", "`error` of a lost trace"];

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The first column, without the part in parentheses.
    pub name: &'static str,
    /// The part in parentheses: a value, a variable or a flag.
    pub input: Option<&'static str>,
    message: &'static str,
}

/// All mistakes.
pub fn all() -> Vec<Mistake> {
    rows(&["mistake"]).map(mistake).collect()
}

/// All other messages. Cells with text after their messages are skipped: they quote another program.
pub fn messages() -> impl Iterator<Item = &'static str> {
    let cells = rows(&OF_MESSAGES).filter_map(|row| row.split(" | ").next());
    let quoted = cells.filter_map(|cell| cell.trim_start_matches("| `").strip_suffix('`'));
    quoted.flat_map(|cell| cell.split("`, `"))
}

/// The rows of all tables whose headers begin with one of these cells.
fn rows(headers: &'static [&str]) -> impl Iterator<Item = &'static str> {
    let tables = PAGE.split("\n\n").filter(move |paragraph| {
        let header = paragraph.trim_start_matches("| ").split(" |").next();
        paragraph.starts_with("| ") && header.is_some_and(|header| headers.contains(&header))
    });
    tables.flat_map(|table| table.lines().skip(2))
}

/// The row with this name; panics if there is none.
#[track_caller]
pub fn named(name: &str) -> Mistake {
    let mut all = all().into_iter();
    all.find(|mistake| mistake.name == name)
        .unwrap_or_else(|| panic!("no mistake is named {name:?}"))
}

impl Mistake {
    /// Panics unless [`is_reported_in`](Self::is_reported_in) holds.
    #[track_caller]
    pub fn assert_reported_in(&self, text: &str) {
        assert!(self.is_reported_in(text), "{self:#?} is not in: {text}");
    }

    /// Whether the text contains the message of the table. Each `…` in the message matches any text.
    pub fn is_reported_in(&self, text: &str) -> bool {
        matches(self.message, text)
    }
}

fn mistake(row: &'static str) -> Mistake {
    let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
    let [mistake, message, _] = cells[..] else {
        panic!("the row does not have three columns: {row}");
    };
    let (name, input) = match mistake.split_once(" (`") {
        Some((name, input)) => (name, Some(input.trim_end_matches("`)"))),
        None => (mistake, None),
    };
    Mistake {
        name,
        input,
        message: message.trim_matches('`'),
    }
}

fn matches(message: &str, text: &str) -> bool {
    // The program also writes `…` where it hides a part of a value.
    let text = text.replace('…', "");
    let mut rest = text.as_str();
    message.split('…').all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::{all, matches, messages, named};

    #[test]
    fn the_parts_of_a_message_must_appear_in_their_order() {
        assert!(matches("a … c", "x a b c d"));
        assert!(!matches("a … c", "c a b"));
        assert!(!matches("a b", "a … b"));
    }

    #[test]
    fn the_tables_are_parsed() {
        assert!(all().len() > 15);
        assert!(messages().count() > 100);
        assert_eq!(named("misspelt flag").input, Some("--stroe"));
        assert_eq!(named("port in use").input, None);
    }
}
