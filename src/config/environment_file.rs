//! Files of variables, as systemd reads `EnvironmentFile=`: see systemd.exec(5), and `parse_env_file_internal()` of systemd 252.
//! (Since version 254 a comment ends with its line, also behind a backslash.)

/// White space in the sense of systemd.
const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];
const LINE_ENDS: [char; 2] = ['\n', '\r'];

/// The assignments in such a file, in its order. A line without an equals sign is ignored, as systemd does.
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

/// What is still to be read.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn next(&mut self) -> Option<char> {
        let mut characters = self.0.chars();
        let next = characters.next();
        self.0 = characters.as_str();
        next
    }

    /// What follows, which is not taken.
    fn skip_blanks(&mut self) -> Option<char> {
        self.0 = self.0.trim_start_matches(BLANKS);
        self.0.chars().next()
    }

    /// To the end of the line, or beyond it behind a backslash.
    fn comment(&mut self) {
        while let Some(character) = self.next() {
            match character {
                '\\' => drop(self.next()),
                character if LINE_ENDS.contains(&character) => return,
                _ => {}
            }
        }
    }

    /// What stands before the equals sign; `None` when the line has none.
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

    /// Quoted and plain parts, one after another. Blanks before a part do not count, nor do those at the end of a plain one.
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

    /// To the end of the line; quotes are nothing special any more.
    fn plain(&mut self, first: char, value: &mut String) {
        let mut next = Some(first);
        // What an escape has put there is kept, blanks too.
        let mut kept = value.len();
        while let Some(character) = next {
            match character {
                '\\' => {
                    value.extend(self.next().filter(|next| !LINE_ENDS.contains(next)));
                    kept = value.len();
                }
                character if LINE_ENDS.contains(&character) => break,
                character => value.push(character),
            }
            next = self.next();
        }
        let end = value[kept..].trim_end_matches(BLANKS).len();
        value.truncate(kept + end);
    }
}

#[cfg(test)]
mod tests;
