//! Parses environment files as systemd reads `EnvironmentFile=`: see systemd.exec(5), and `parse_env_file_internal()` of systemd
//! 252. (Since version 254 a backslash does not continue a comment.)

/// White space in the sense of systemd.
const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];
const LINE_ENDS: [char; 2] = ['\n', '\r'];

/// The assignments in a file, in order. Lines without an equals sign are ignored, as in systemd.
pub(super) fn parse(text: &str) -> Vec<(String, String)> {
    let mut rest = Rest(text);
    let mut assignments = Vec::new();
    while let Some(first) = rest.skip_blanks() {
        if matches!(first, '#' | ';') {
            rest.comment();
        } else if let Some(key) = rest.key() {
            assignments.push((key, rest.value()));
        }
    }
    assignments
}

/// The unread rest of the file.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn next(&mut self) -> Option<char> {
        let mut characters = self.0.chars();
        let next = characters.next();
        self.0 = characters.as_str();
        next
    }

    /// Skips blanks; returns the next character without consuming it.
    fn skip_blanks(&mut self) -> Option<char> {
        self.0 = self.0.trim_start_matches(BLANKS);
        self.0.chars().next()
    }

    /// Skips the rest of the line; a backslash continues it.
    fn comment(&mut self) {
        while let Some(character) = self.next() {
            match character {
                '\\' => drop(self.next()),
                character if LINE_ENDS.contains(&character) => return,
                _ => {}
            }
        }
    }

    /// The text before the equals sign; `None` if the line has none.
    fn key(&mut self) -> Option<String> {
        let mut key: String = self.next().into_iter().collect();
        while let Some(character) = self.next().filter(|next| !LINE_ENDS.contains(next)) {
            if character == '=' {
                key.truncate(key.trim_end_matches(BLANKS).len());
                return Some(key);
            }
            key.push(character);
        }
        None
    }

    /// Concatenates quoted and plain parts. Blanks before a part and at the end of a plain part are dropped.
    fn value(&mut self) -> String {
        let mut value = String::new();
        while let Some(character) = self.next() {
            match character {
                character if LINE_ENDS.contains(&character) => break,
                character if BLANKS.contains(&character) => {}
                '\'' => self.single_quoted(&mut value),
                '"' => self.double_quoted(&mut value),
                first => {
                    self.plain(first, &mut value);
                    break;
                }
            }
        }
        value
    }

    fn single_quoted(&mut self, value: &mut String) {
        let end = self.0.find('\'').unwrap_or(self.0.len());
        value.push_str(&self.0[..end]);
        self.0 = self.0.get(end + 1..).unwrap_or_default();
    }

    fn double_quoted(&mut self, value: &mut String) {
        while let Some(character) = self.next() {
            match character {
                '"' => return,
                '\\' => match self.next() {
                    Some(escaped @ ('"' | '\\' | '`' | '$')) => value.push(escaped),
                    Some('\n') | None => {}
                    Some(other) => value.extend(['\\', other]),
                },
                other => value.push(other),
            }
        }
    }

    /// Reads to the end of the line; quotes have no special meaning here.
    fn plain(&mut self, first: char, value: &mut String) {
        let mut next = Some(first);
        // Escaped characters are not trimmed, not even blanks.
        let mut untrimmed = value.len();
        while let Some(character) = next {
            match character {
                '\\' => {
                    value.extend(self.next().filter(|next| !LINE_ENDS.contains(next)));
                    untrimmed = value.len();
                }
                character if LINE_ENDS.contains(&character) => break,
                character => value.push(character),
            }
            next = self.next();
        }
        let end = value[untrimmed..].trim_end_matches(BLANKS).len();
        value.truncate(untrimmed + end);
    }
}

#[cfg(test)]
mod tests;
