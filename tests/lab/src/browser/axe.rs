//! Accessibility checks by axe-core, inside the page.

use std::fs;
use std::path::Path;

use serde_json::Value as Json;

use super::Browser;

/// WCAG 2.2, levels A and AA, and best practices. A contrast that axe-core cannot determine is a finding, too.
const RUN: &str = "
const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
axe.run({ runOnly: tags }).then(
    ({ violations, incomplete }) => done([...violations, ...incomplete.filter(({ id }) => id === 'color-contrast')]),
    error => done(`axe-core has failed: ${error}`),
);";

impl Browser {
    /// What axe-core finds in the page, a line for each element: rule, selector, and what to fix. `checks` is the folder of
    /// [`Peer::PageChecks`](crate::peers::Peer::PageChecks).
    #[track_caller]
    pub fn axe_findings(&self, checks: &Path) -> Vec<String> {
        let program = fs::read_to_string(checks.join("node_modules/axe-core/axe.min.js"))
            .expect("the peer has axe-core");
        match self.run_until_done(&format!("{program}\n{RUN}")) {
            Json::Array(rules) => rules.iter().flat_map(lines).collect(),
            other => panic!("{other}"),
        }
    }
}

fn lines(rule: &Json) -> impl Iterator<Item = String> {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let nodes = rule["nodes"].as_array().into_iter().flatten();
    nodes.map(move |node| {
        let checks = ["any", "all", "none"].map(|kind| node[kind].as_array());
        let checks = checks.into_iter().flatten().flatten();
        let messages: Vec<String> = checks.map(|check| text(&check["message"])).collect();
        format!(
            "{}: {}: {}",
            text(&rule["id"]),
            node["target"],
            messages.join("; ")
        )
    })
}
