//! A validator of HTML.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const CONFIGURATION: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../peers/page-checks/html-validate.json"
);

/// Whether html-validate has nothing to say about this document. `checks` is the folder of
/// [`Peer::PageChecks`](crate::peers::Peer::PageChecks).
///
/// # Errors
///
/// What it says.
pub fn validate(checks: &Path, document: &str) -> Result<(), String> {
    let mut validator = Command::new(checks.join("node"))
        .arg(checks.join("node_modules/html-validate/bin/html-validate.mjs"))
        .args(["--config", CONFIGURATION, "--max-warnings=0", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the peer has Node.js");
    let mut stdin = validator.stdin.take().expect("stdin is piped");
    // It says something only after it has read everything. If it fails before, the reason is in its output.
    let _ = stdin.write_all(document.as_bytes());
    drop(stdin);
    let output = validator.wait_with_output().expect("it is our child");
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(String::from_utf8_lossy(&said).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::{self, Peer};

    #[test]
    fn a_mistake_in_a_document_is_reported() {
        let Some(checks) = peers::folder(Peer::PageChecks) else {
            return;
        };
        let valid = "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>A page</title></head>\n<body><main>Text</main></body>\n</html>\n";
        assert_eq!(validate(checks, valid), Ok(()));
        let said = validate(checks, &valid.replace("</main>", "</p></main>"));
        let said = said.expect_err("no <p> was opened");
        assert!(said.contains("close-order"), "{said}");
    }
}
