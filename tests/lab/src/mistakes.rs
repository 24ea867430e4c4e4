//! The configuration mistakes in `docs/mistakes.md`, and the messages that the program must report for them.

const TABLE: &str = include_str!("../../../docs/mistakes.md");

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The first column, without the part in parentheses.
    pub name: &'static str,
    /// The part in parentheses: a value, a variable or a flag.
    pub input: Option<&'static str>,
    message: &'static str,
}

/// All rows of the table.
pub fn all() -> Vec<Mistake> {
    let rows = TABLE.lines().filter(|line| line.starts_with("| "));
    rows.skip(2).map(mistake).collect()
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
    use super::{all, matches, named};

    #[test]
    fn the_parts_of_a_message_must_appear_in_their_order() {
        assert!(matches("a … c", "x a b c d"));
        assert!(!matches("a … c", "c a b"));
        assert!(!matches("a b", "a … b"));
    }

    #[test]
    fn the_table_is_parsed() {
        assert!(all().len() > 15);
        assert_eq!(named("misspelt flag").input, Some("--stroe"));
        assert_eq!(named("port in use").input, None);
    }
}
