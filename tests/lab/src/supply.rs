//! What the scripts of the tests get or make: programs of peers, roots of Debian, an earlier package.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The exit status of a script for [`Obstacle::OutOfReach`].
const OUT_OF_REACH: i32 = 3;

/// Why something is missing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Obstacle {
    /// Something outside of this machine cannot be reached: a mirror, a proxy, or the history that a shallow clone lacks.
    #[error("{0}")]
    OutOfReach(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// Runs a script and returns the path that it prints. Its standard error is inherited: it shows the progress, and the reason of a
/// failure.
///
/// # Errors
///
/// If it fails.
///
/// # Panics
///
/// If it does not start.
pub fn path_from(script: &str, arguments: &[&str]) -> Result<PathBuf, Obstacle> {
    let output = Command::new(script)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("{script} does not start: {error}"));
    let command = [&[script], arguments].concat().join(" ");
    match output.status.code() {
        Some(0) => {
            let path = String::from_utf8_lossy(&output.stdout);
            Ok(PathBuf::from(path.trim_end()))
        }
        Some(OUT_OF_REACH) => Err(Obstacle::OutOfReach(format!(
            "{command} needs what cannot be reached, see above"
        ))),
        _ => Err(Obstacle::Failed(format!("{command} failed, see above"))),
    }
}
