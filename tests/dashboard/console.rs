//! The console template: its expressions, and the page that Prometheus makes of it.

use std::collections::BTreeMap;

use regex::Regex;

use crate::dashboard::Expression;

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("this is a regular expression")
}

/// Titles and contents of the panels.
fn panels(html: &str) -> Vec<(String, String)> {
    let panel = regex(r"(?s)<section[^>]*><h3>(.*?)</h3><table>(.*?)</table>");
    let panels = panel.captures_iter(html);
    panels
        .map(|panel| (panel[1].to_owned(), panel[2].to_owned()))
        .collect()
}

/// The expressions of the template, in order.
pub(crate) fn expressions(template: &str) -> Vec<Expression> {
    let rows = regex(r#"\{\{ template "rows" \(args \$[a-z]+ "([^"]*)" "[^"]*" `([^`]*)`\) \}\}"#);
    let mut expressions = Vec::new();
    for (title, content) in panels(template) {
        expressions.extend(rows.captures_iter(&content).map(|row| Expression {
            panel: title.clone(),
            unit: row[1].to_owned(),
            text: row[2].to_owned(),
            exemplars: false,
        }));
    }
    expressions
}

/// The texts of a page's rows, by the titles of the panels.
pub(crate) struct Page(BTreeMap<String, Vec<String>>);

impl Page {
    pub(crate) fn parse(html: &str) -> Self {
        let tag = regex("<[^>]*>");
        let row = |row: &str| {
            let row = tag.replace_all(row, " ");
            row.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let rows = |content: &str| {
            content
                .split("</tr>")
                .map(row)
                .filter(|row| !row.is_empty())
                .collect()
        };
        let panels = panels(html).into_iter();
        Self(
            panels
                .map(|(title, content)| (title, rows(&content)))
                .collect(),
        )
    }

    /// Whether each panel has rows, and numbers in all of them.
    pub(crate) fn is_complete(&self) -> bool {
        let mut panels = self.0.values();
        let number = |row: &String| !row.ends_with("no data") && !row.contains("NaN");
        !self.0.is_empty() && panels.all(|rows| !rows.is_empty() && rows.iter().all(number))
    }

    /// The rows of the panel with this title, sorted.
    #[track_caller]
    pub(crate) fn rows(&self, title: &str) -> Vec<String> {
        let mut rows = self.0[title].clone();
        rows.sort();
        rows
    }
}
