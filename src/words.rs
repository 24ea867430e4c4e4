//! Escapes and truncates text before it is shown: text of stores, collectors and systems may contain anything and be of any length.

/// Marks truncated text.
const CUT: &str = "… [cut]";

/// Whether a terminal may interpret this character instead of showing it: control characters (C0, DEL, C1), line and paragraph
/// separators, and characters that change the direction of text (Unicode's Bidi_Control).
pub(crate) fn is_command(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

/// The text on one line, with the characters that [`is_command`] accepts escaped as in Rust: `\n`, `\u{9b}`.
pub(crate) fn escaped(text: &str) -> String {
    escaped_if(text, is_command)
}

/// Like [`escaped`], but keeps line breaks.
pub(crate) fn escaped_lines(text: &str) -> String {
    escaped_if(text, |character| character != '\n' && is_command(character))
}

fn escaped_if(text: &str, is_command: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_command(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// The value of a label: [`escaped`] and truncated to 256 bytes.
pub(crate) fn label(text: &str) -> String {
    const LONGEST: usize = 256;
    let mut label = escaped(text);
    label.truncate(boundary(&label, LONGEST));
    label
}

/// The last character boundary within the first `limit` bytes.
fn boundary(text: &str, limit: usize) -> usize {
    let limit = limit.min(text.len());
    let mut ends = (0..=limit).rev();
    ends.find(|&end| text.is_char_boundary(end)).unwrap_or(0)
}

/// `text`, truncated to `limit` bytes and marked if it is longer.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    match limit.checked_sub(CUT.len()) {
        Some(kept) => format!("{}{CUT}", &text[..boundary(text, kept)]),
        None => text[..boundary(text, limit)].to_owned(),
    }
}

/// A number and what it counts, in the singular or plural: "1 image", "5 images".
pub(crate) fn counted(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::{CUT, counted, cut, escaped, escaped_lines};

    #[test]
    fn control_characters_are_escaped_and_printable_text_is_not() {
        for (text, shown) in [
            ("a\nb\tc", "a\\nb\\tc"),
            ("\u{0}\u{1b}[2J\u{7f}", "\\u{0}\\u{1b}[2J\\u{7f}"),
            ("\u{80}\u{9b}\u{9f}", "\\u{80}\\u{9b}\\u{9f}"),
            ("\u{2028}\u{2029}", "\\u{2028}\\u{2029}"),
            ("\u{202a}\u{202e}", "\\u{202a}\\u{202e}"),
            ("\u{2066}\u{2069}", "\\u{2066}\\u{2069}"),
            ("\u{61c}\u{200e}\u{200f}", "\\u{61c}\\u{200e}\\u{200f}"),
            ("ä \u{a0}\"\\ 語 … 🦀", "ä \u{a0}\"\\ 語 … 🦀"),
        ] {
            assert_eq!(escaped(text), shown);
        }
        assert_eq!(escaped_lines("a\n\u{9b}"), "a\n\\u{9b}");
    }

    #[test]
    fn a_text_is_cut_between_characters_and_marked() {
        assert_eq!(cut("short", 5), "short");
        let cut = cut(&"ä".repeat(50), 40);
        assert!(cut.len() <= 40 && cut.ends_with(CUT), "{cut:?}");
    }

    #[test]
    fn one_is_singular() {
        let counts = [0, 1, 2].map(|number| counted(number, "image"));
        assert_eq!(counts, ["0 images", "1 image", "2 images"]);
    }
}
