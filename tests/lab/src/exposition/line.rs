//! One line of the format, without regard to the lines around it.

use std::collections::BTreeMap;

use super::{Kind, Sample};

/// What a line says. Errors are texts; whoever knows the line's number adds it.
#[derive(Debug, PartialEq)]
pub(super) enum Line {
    Nothing,
    Help { name: String, text: String },
    Type { name: String, kind: Kind },
    Sample(Sample),
}

pub(super) fn read(line: &str) -> Result<Line, String> {
    let line = line.trim_matches(BLANKS);
    match line.strip_prefix('#') {
        Some(comment) => comment_line(comment.trim_start_matches(BLANKS)),
        None if line.is_empty() => Ok(Line::Nothing),
        None => sample(line).map(Line::Sample),
    }
}

const BLANKS: [char; 2] = [' ', '\t'];

/// The next token, and what follows the blanks after it.
fn token(text: &str) -> (&str, &str) {
    let (token, rest) = text.split_once(BLANKS).unwrap_or((text, ""));
    (token, rest.trim_start_matches(BLANKS))
}

fn comment_line(comment: &str) -> Result<Line, String> {
    let (keyword, rest) = token(comment);
    let (name, rest) = token(rest);
    match keyword {
        "HELP" => {
            let text = unescape(rest, &[('\\', '\\'), ('n', '\n')])?;
            Ok(Line::Help {
                name: metric_name(name)?,
                text,
            })
        }
        "TYPE" => Ok(Line::Type {
            name: metric_name(name)?,
            kind: kind(rest)?,
        }),
        _ => Ok(Line::Nothing),
    }
}

fn kind(text: &str) -> Result<Kind, String> {
    Ok(match text {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "histogram" => Kind::Histogram,
        "summary" => Kind::Summary,
        "untyped" => Kind::Untyped,
        _ => return Err(format!("the type {text:?} does not exist")),
    })
}

fn sample(line: &str) -> Result<Sample, String> {
    let end = line
        .find(|c| c == '{' || BLANKS.contains(&c))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let name = metric_name(name)?;
    let (labels, rest) = match rest.trim_start_matches(BLANKS).strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (BTreeMap::new(), rest),
    };
    let (value, timestamp) = token(rest.trim_start_matches(BLANKS));
    Ok(Sample {
        name,
        labels,
        value: number(value)?,
        timestamp_millis: millis(timestamp)?,
    })
}

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Result<(BTreeMap<String, String>, &str), String> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches(BLANKS);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        let (name, value, after) = label(rest)?;
        if labels.contains_key(&name) {
            return Err(format!("the label {name:?} comes twice"));
        }
        labels.insert(name, value);
        rest = after.trim_start_matches(BLANKS);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with('}') => {}
            None => return Err("a label is followed by neither a comma nor a brace".to_owned()),
        }
    }
}

/// A label's name and value, and what follows them.
fn label(text: &str) -> Result<(String, String, &str), String> {
    let (name, rest) = text.split_once('=').ok_or("a label without a value")?;
    let name = name.trim_end_matches(BLANKS);
    if !is_name(name, "_") || name.starts_with("__") {
        return Err(format!("{name:?} is no label name"));
    }
    let quoted = rest.trim_start_matches(BLANKS).strip_prefix('"');
    let quoted = quoted.ok_or_else(|| format!("the value of {name:?} has no quotes"))?;
    let end = closing_quote(quoted).ok_or_else(|| format!("the value of {name:?} has no end"))?;
    let value = unescape(&quoted[..end], &[('\\', '\\'), ('n', '\n'), ('"', '"')])?;
    Ok((name.to_owned(), value, &quoted[end + 1..]))
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closing = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closing
    })
}

fn unescape(text: &str, escapes: &[(char, char)]) -> Result<String, String> {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        let escape = characters.next();
        let meant = escapes.iter().find(|(written, _)| Some(*written) == escape);
        let (_, meant) = meant.ok_or_else(|| format!("an unknown escape in {text:?}"))?;
        plain.push(*meant);
    }
    Ok(plain)
}

fn metric_name(text: &str) -> Result<String, String> {
    if is_name(text, "_:") {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no metric name"))
    }
}

fn is_name(text: &str, punctuation: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || punctuation.contains(c);
    text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// A decimal number, or one of the three that are none.
pub(super) fn number(text: &str) -> Result<f64, String> {
    let decimal = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    match text {
        "NaN" => Ok(f64::NAN),
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        _ if !text.chars().all(decimal) => Err(format!("{text:?} is no number")),
        _ => text.parse().map_err(|_| format!("{text:?} is no number")),
    }
}

fn millis(text: &str) -> Result<Option<i64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| format!("{text:?} is no timestamp in milliseconds"))
}
