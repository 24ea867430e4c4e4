//! Just enough of Rust to find the paths that begin at the crate's root.

use std::collections::BTreeSet;

/// Names, `::` and single characters, in order; without comments, literals and white space.
pub(crate) struct Tokens(Vec<String>);

impl Tokens {
    pub(crate) fn of(source: &str) -> Self {
        let mut tokens = Vec::new();
        let mut rest = source;
        while let Some(next) = rest.chars().next() {
            let (length, is_token) = token(rest, next);
            if is_token {
                tokens.push(rest[..length].to_owned());
            }
            rest = &rest[length..];
        }
        Self(tokens)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        let is_name = |token: &&String| token.starts_with(begins_name);
        self.0.iter().filter(is_name)
    }
}

/// How long what comes next is, and whether it is a token.
fn token(rest: &str, next: char) -> (usize, bool) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), false);
    }
    if let Some(length) = raw_string(rest) {
        return (length, false);
    }
    match next {
        '"' => (string(rest), false),
        '\'' => (character(rest), false),
        _ if begins_name(next) => (name(rest), true),
        ':' if rest.starts_with("::") => (2, true),
        _ => (next.len_utf8(), !next.is_whitespace()),
    }
}

fn begins_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn name(rest: &str) -> usize {
    let ends = |c: char| !c.is_alphanumeric() && c != '_';
    rest.find(ends).unwrap_or(rest.len())
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    let end = rest[1..].find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or(rest.len(), |end| end + 2)
}

fn raw_string(rest: &str) -> Option<usize> {
    let from_hashes = rest.strip_prefix('r')?;
    let hashes = from_hashes.len() - from_hashes.trim_start_matches('#').len();
    let inside = from_hashes[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&end)?;
    Some(rest.len() - inside.len() + length + end.len())
}

/// A character literal as a whole; of a lifetime the quote.
fn character(rest: &str) -> usize {
    let inside = &rest[1..];
    if inside.starts_with('\\') {
        // The escaped character may be a quote itself.
        let end = inside.char_indices().skip(2).find(|(_, c)| *c == '\'');
        return end.map_or(rest.len(), |(end, _)| end + 2);
    }
    let length = inside.chars().next().map_or(0, char::len_utf8);
    if inside[length..].starts_with('\'') {
        length + 2
    } else {
        1
    }
}

/// The first names of all paths that begin at the crate's root, be it called `crate` or, in a file `depth` modules deep, by as
/// many `super::`.
pub(crate) fn crate_paths(source: &str, root: &str, depth: usize) -> BTreeSet<String> {
    let tokens = Tokens::of(source).0;
    let mut found = BTreeSet::new();
    let mut braces: Vec<Brace> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" => braces.push(Brace::before(&tokens[..index])),
            "}" => drop(braces.pop()),
            _ => {}
        }
        let before = index.checked_sub(1).map(|before| tokens[before].as_str());
        if before == Some("::") {
            continue;
        }
        let inside = braces.iter().filter(|brace| **brace == Brace::Module);
        let depth = depth + inside.count();
        if let Some(behind) = behind_root(&tokens[index..], root, depth) {
            found.extend(first_names(behind));
        }
    }
    found
}

#[derive(PartialEq)]
enum Brace {
    Module,
    Other,
}

impl Brace {
    fn before(tokens: &[String]) -> Self {
        match tokens {
            [.., keyword, _] if keyword == "mod" => Self::Module,
            _ => Self::Other,
        }
    }
}

/// What follows `crate::`, or `super::` as often as it takes to get to the root.
fn behind_root<'a>(tokens: &'a [String], root: &str, depth: usize) -> Option<&'a [String]> {
    match tokens {
        [first, path, rest @ ..] if path == "::" => match first.as_str() {
            name if name == root => Some(rest),
            "super" if depth == 1 => Some(rest),
            "super" => behind_root(rest, root, depth - 1),
            _ => None,
        },
        _ => None,
    }
}

/// The name that comes first, or in braces each that begins a path.
fn first_names(tokens: &[String]) -> Vec<String> {
    if tokens.first().is_none_or(|token| token != "{") {
        return tokens.first().cloned().into_iter().collect();
    }
    let mut names = Vec::new();
    let mut open = 0;
    for (index, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" => open += 1,
            "}" => open -= 1,
            _ if open == 1 && matches!(tokens[index - 1].as_str(), "{" | ",") => {
                names.push(token.clone());
            }
            _ => {}
        }
        if open == 0 {
            break;
        }
    }
    names
}

fn assert_paths(source: &str, depth: usize, expected: &[&str]) {
    let expected = expected.iter().map(ToString::to_string).collect();
    assert_eq!(crate_paths(source, "crate", depth), expected, "{source}");
}

#[test]
fn a_path_in_the_middle_of_code_is_found() {
    assert_paths("fn f() -> crate::a::B { crate::c::d() }", 1, &["a", "c"]);
}

#[test]
fn braces_hold_several_paths() {
    let source = "use crate::{a::{b, c}, d, e::{self, f::{g}},\n h as i};";
    assert_paths(source, 1, &["a", "d", "e", "h"]);
}

#[test]
fn comments_and_literals_hold_none() {
    assert_paths("// crate::a\n//! crate::b\n/// crate::c", 1, &[]);
    assert_paths(r##"f("crate::a \" crate::b", r#"" crate::c "#)"##, 1, &[]);
    assert_paths("match c { '\"' => crate::a(), '\\'' => 'b' }", 1, &["a"]);
    assert_paths("fn f<'a>(x: &'a str) -> crate::b::C<'a>", 1, &["b"]);
}

#[test]
fn super_is_the_root_when_there_are_enough_of_it() {
    assert_paths("use super::a::b;", 1, &["a"]);
    assert_paths("use super::a::b; use super::super::c;", 2, &["c"]);
    assert_paths(
        "mod tests { use super::a; use super::super::b; }",
        1,
        &["b"],
    );
    assert_paths("mod tests { use super::a; }\nuse super::b;", 1, &["b"]);
}

#[test]
fn visibility_is_no_path() {
    assert_paths("pub(crate) fn f() {} pub(super) mod a {}", 1, &[]);
}
