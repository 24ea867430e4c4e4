use std::{collections::BTreeMap, fs, path::Path, process::Command};

use lab::{skip, tempdir};
use proptest::prelude::*;

use super::parse;

/// A program of systemd that reads such files with the same function as `EnvironmentFile=`, see environment.d(5).
const GENERATOR: &str =
    "/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator";

#[track_caller]
fn assert_read(text: &str, expected: &[(&str, &str)]) {
    let expected: Vec<(String, String)> = expected
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(parse(text), expected, "{text:?}");
}

#[test]
fn comments_and_lines_without_an_equals_sign_are_ignored() {
    assert_read(
        "# A=1\n ; A=2\nA\n\n\tA=3 # no comment\n",
        &[("A", "3 # no comment")],
    );
    assert_read("#goes on \\\nA=1\nB=2", &[("B", "2")]);
}

#[test]
fn quotes_and_blanks_around_a_value_are_not_part_of_it() {
    assert_read(
        "A = x \nB=\" x \"\nC='a\"b'\nD=",
        &[("A", "x"), ("B", " x "), ("C", "a\"b"), ("D", "")],
    );
    assert_read("A='x' 'y'z'\r\nB=1\r\n", &[("A", "xyz'"), ("B", "1")]);
}

#[test]
fn a_backslash_takes_the_next_character_as_it_is_and_joins_lines() {
    assert_read(
        "A=x,\\\n  y\nB=a\\ \nC=\\#\\\"",
        &[("A", "x,  y"), ("B", "a "), ("C", "#\"")],
    );
    assert_read(
        "A=\"x\\\ny\\n\\\"\\$\\`\"\nB='x\\\ny'",
        &[("A", "xy\\n\"$`"), ("B", "x\\\ny")],
    );
}

#[test]
fn an_unclosed_quote_ends_with_the_file() {
    assert_read("A=\"x\ny", &[("A", "x\ny")]);
    assert_read("A='x", &[("A", "x")]);
    assert_read("A=x\\", &[("A", "x")]);
    assert_read("A", &[]);
}

/// The variables that systemd reads, without empty ones: it prints only some of those.
fn read_by_systemd(text: &str) -> BTreeMap<String, String> {
    let folder = tempdir().expect("a temporary folder can be made");
    let settings = folder.path().join("environment.d");
    fs::create_dir(&settings).expect("it is ours");
    fs::write(settings.join("test.conf"), text).expect("it is ours");
    let output = Command::new(GENERATOR)
        .env_clear()
        .env("XDG_CONFIG_HOME", folder.path())
        .output()
        .expect("it is a part of systemd");
    let printed = String::from_utf8(output.stdout).expect("only UTF-8 is read");
    let lines = printed.lines().filter_map(|line| line.split_once('='));
    lines
        .filter(|(key, _)| is_ours(key))
        .map(|(key, value)| (key.to_owned(), unquoted(value)))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// Whether the property test generates this name.
fn is_ours(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| matches!(byte, b'A' | b'B'))
}

/// Undoes systemd's quoting for a shell: a backslash before special characters, and letters or octal digits for control characters.
fn unquoted(value: &str) -> String {
    let Some(quoted) = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
    else {
        return value.to_owned();
    };
    let mut plain = String::new();
    let mut rest = quoted.chars();
    while let Some(character) = rest.next() {
        plain.push(match character {
            '\\' => match rest.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some(special) => special,
                None => '\\',
            },
            other => other,
        });
    }
    plain
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_file_is_read_as_systemd_reads_it(text in "(A|B|=|x| |\t|\"|'|\\\\|\n|\r|#|;|ä|A=|\nB=|`){0,24}") {
        if !Path::new(GENERATOR).exists() {
            skip::loudly("systemd's generator of environments is not installed");
            return Ok(());
        }
        let ours = parse(&text).into_iter();
        let ours: BTreeMap<String, String> = ours.filter(|(key, value)| is_ours(key) && !value.is_empty()).collect();
        prop_assert_eq!(ours, read_by_systemd(&text));
    }

    #[test]
    fn any_text_is_read_to_its_end(text in ".{0,64}") {
        parse(&text);
    }
}
