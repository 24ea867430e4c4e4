//! Percent-encoded lists of `KEY=VALUE` pairs.
//!
//! The form is that of W3C Baggage, without its properties: see <https://www.w3.org/TR/baggage/#definition> and
//! <https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable>.

use super::{ConfigError, Environment, invalid, variables::ATTRIBUTES};

/// A key and its value, both decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) key: String,
    pub(super) value: String,
}

/// What is wrong with a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    NoKey,
    Escape,
    NotText,
}

/// `OTEL_RESOURCE_ATTRIBUTES`.
pub(super) fn read(environment: &Environment) -> Result<Vec<(String, String)>, ConfigError> {
    let Some(text) = environment.text(ATTRIBUTES)? else {
        return Ok(Vec::new());
    };
    let parts = text.split(',').flat_map(|entry| entry.splitn(2, '='));
    let mut characters = parts.flat_map(|part| part.trim().chars());
    if let Some(character) = characters.find(|&c| !is_baggage_octet(c)) {
        let expected = format!("expected {} in place of {character:?}", encoded(character));
        return Err(invalid(ATTRIBUTES, &text, &expected));
    }
    let attributes = pairs(&text).map(|pair| pair.map(|Pair { key, value }| (key, value)));
    attributes.collect::<Result<_, _>>().map_err(|malformed| {
        let expected = match malformed {
            Malformed::NoKey => "expected KEY=VALUE pairs separated by commas",
            Malformed::Escape => {
                "expected two hexadecimal digits after each %; a percent sign itself is %25"
            }
            Malformed::NotText => "expected the percent-encoded bytes to be UTF-8",
        };
        invalid(ATTRIBUTES, &text, expected)
    })
}

/// The pairs of a list. Spaces around keys and values, and empty entries, are ignored.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = Result<Pair, Malformed>> {
    let entries = text
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty());
    entries.map(|entry| {
        let (key, value) = entry.split_once('=').ok_or(Malformed::NoKey)?;
        let key = decoded(key.trim())?;
        if key.is_empty() {
            return Err(Malformed::NoKey);
        }
        let value = decoded(value.trim())?;
        Ok(Pair { key, value })
    })
}

/// Whether a value may contain the character unencoded: printable ASCII, but no space, quote, comma, semicolon or backslash.
fn is_baggage_octet(character: char) -> bool {
    matches!(character, '!' | '#'..='+' | '-'..=':' | '<'..='[' | ']'..='~')
}

fn encoded(character: char) -> String {
    let mut bytes = [0; 4];
    let bytes = character.encode_utf8(&mut bytes).bytes();
    bytes.map(|byte| format!("%{byte:02X}")).collect()
}

fn decoded(text: &str) -> Result<String, Malformed> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let both = high.zip(low).map(|(high, low)| high << 4 | low);
                both.and_then(|byte| u8::try_from(byte).ok())
                    .ok_or(Malformed::Escape)?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| Malformed::NotText)
}

#[cfg(test)]
mod tests {
    use super::{Malformed, Pair, decoded, pairs};

    #[test]
    fn keys_and_values_are_decoded() {
        let text = " a%3Db = 100%25%2c , ,c=x=y,";
        let expected = [("a=b", "100%,"), ("c", "x=y")].map(|(key, value)| {
            Ok(Pair {
                key: key.to_owned(),
                value: value.to_owned(),
            })
        });
        assert_eq!(pairs(text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn malformed_pairs_are_distinguished() {
        for (text, malformed) in [
            ("a", Malformed::NoKey),
            ("=a", Malformed::NoKey),
            ("a=%", Malformed::Escape),
            ("a=%4", Malformed::Escape),
            ("a=%4g", Malformed::Escape),
            ("a=%+4", Malformed::Escape),
            ("a=%C3", Malformed::NotText),
        ] {
            assert_eq!(pairs(text).next(), Some(Err(malformed)), "{text}");
        }
        assert_eq!(decoded("Z%C3%BCrich"), Ok("Zürich".to_owned()));
    }
}
