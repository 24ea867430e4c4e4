//! The mistakes of `docs/mistakes.md`, and what the program is to say of them.

const TABLE: &str = include_str!("../../../docs/mistakes.md");

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The first column, without what is in parentheses.
    pub name: &'static str,
    /// What is in parentheses there: a value, a variable or a flag.
    pub input: Option<&'static str>,
    says: &'static str,
}

/// All rows.
pub fn all() -> Vec<Mistake> {
    let rows = TABLE.lines().filter(|line| line.starts_with("| "));
    rows.skip(2).map(mistake).collect()
}

/// The row of this name; panics when there is none.
#[track_caller]
pub fn named(name: &str) -> Mistake {
    let mut all = all().into_iter();
    all.find(|mistake| mistake.name == name)
        .unwrap_or_else(|| panic!("no mistake is named {name:?}"))
}

impl Mistake {
    /// Panics unless the sentence of the table is in this text, with anything where it has `…`.
    #[track_caller]
    pub fn assert_told_in(&self, text: &str) {
        assert!(self.is_told_in(text), "not {self:#?} but {text}");
    }

    /// Whether it is.
    pub fn is_told_in(&self, text: &str) -> bool {
        is_told(self.says, text)
    }
}

fn mistake(row: &'static str) -> Mistake {
    let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
    let [mistake, says, _] = cells[..] else {
        panic!("not three columns: {row}");
    };
    let (name, input) = match mistake.split_once(" (`") {
        Some((name, input)) => (name, Some(input.trim_end_matches("`)"))),
        None => (mistake, None),
    };
    Mistake {
        name,
        input,
        says: says.trim_matches('`'),
    }
}

fn is_told(sentence: &str, text: &str) -> bool {
    // What a value hides is written in the same way.
    let text = text.replace('…', "");
    let mut rest = text.as_str();
    sentence.split('…').all(|part| match rest.split_once(part) {
        Some((_, behind)) => {
            rest = behind;
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::{all, is_told, named};

    #[test]
    fn the_parts_of_a_sentence_are_looked_for_in_their_order() {
        assert!(is_told("a … c", "x a b c d"));
        assert!(!is_told("a … c", "c a b"));
        assert!(!is_told("a b", "a … b"));
    }

    #[test]
    fn the_table_is_read() {
        assert!(all().len() > 15);
        assert_eq!(named("misspelt flag").input, Some("--stroe"));
        assert_eq!(named("port in use").input, None);
    }
}
