//! The names of metrics in a PromQL expression.

use std::collections::BTreeSet;

use regex::Regex;

const WORDS: [&str; 8] = [
    "and",
    "bool",
    "group_left",
    "group_right",
    "inf",
    "offset",
    "or",
    "unless",
];

/// All names that are neither functions, nor labels, nor words of the language.
pub(crate) fn metrics(expression: &str) -> BTreeSet<String> {
    let texts = Regex::new(r#""[^"]*"|'[^']*'"#).expect("this is a regular expression");
    let labels =
        r"\{[^}]*\}|\[[^\]]*\]|(?:by|without|on|ignoring|group_left|group_right) *\([^)]*\)";
    let labels = Regex::new(labels).expect("and this");
    let names = Regex::new(r"(?-u:\b)([A-Za-z_:][A-Za-z0-9_:]*) *(\(?)").expect("and this");
    let expression = texts.replace_all(expression, " ");
    let expression = labels.replace_all(&expression, " ");
    let names = names.captures_iter(&expression);
    let names = names.filter(|found| found[2].is_empty() && !WORDS.contains(&&found[1]));
    names.map(|found| found[1].to_owned()).collect()
}

#[test]
fn metrics_are_told_from_functions_labels_and_numbers() {
    let expression = r#"sum by (job, a) (rate(one_total{x="y){1}"}[5m])) > 1e3 and on (job) (time() - two:sum) or -three offset 5m"#;
    let found = metrics(expression);
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        ["one_total", "three", "two:sum"]
    );
}
