//! What the scripts of the tests get or make: programs of peers, roots of Debian, an earlier package.

use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The exit status of a script for [`Obstacle::OutOfReach`].
const OUT_OF_REACH: i32 = 3;

/// Why something is missing.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// Something outside of this machine cannot be reached: a mirror, a proxy, or the history that a shallow clone lacks.
    #[error("{0}")]
    OutOfReach(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// Runs a script and returns the path that it prints. What it prints to standard error, such as its progress, is passed on.
///
/// # Errors
///
/// If it fails, with its last line as the reason.
///
/// # Panics
///
/// If it does not start.
pub fn path_from(script: &str, arguments: &[&str]) -> Result<PathBuf, Obstacle> {
    let mut running = Command::new(script)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{script} does not start: {error}"));
    let mut last = format!("{script} failed without a word");
    let progress = BufReader::new(running.stderr.take().expect("it is piped"));
    for line in progress.lines() {
        last = line.expect("scripts print text");
        let _ = writeln!(io::stderr(), "{last}");
    }
    // The path is short enough for the pipe to hold it until now.
    let output = running.wait_with_output().expect("it is our child");
    match output.status.code() {
        Some(0) => {
            let path = String::from_utf8_lossy(&output.stdout);
            Ok(PathBuf::from(path.trim_end()))
        }
        Some(OUT_OF_REACH) => Err(Obstacle::OutOfReach(last)),
        _ => Err(Obstacle::Failed(last)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Obstacle, path_from};

    fn run(end: &str) -> Result<std::path::PathBuf, Obstacle> {
        path_from(
            "sh",
            &["-c", &format!("echo begun >&2; echo why >&2; {end}")],
        )
    }

    #[test]
    fn a_script_gives_a_path_or_its_last_line_as_the_reason() {
        let made = run("echo /a/path").expect("it succeeds");
        assert_eq!(made, Path::new("/a/path"));
        let missing = run("exit 3").expect_err("it fails");
        assert!(matches!(&missing, Obstacle::OutOfReach(why) if why == "why"));
        let failed = run("exit 1").expect_err("it fails");
        assert!(matches!(&failed, Obstacle::Failed(why) if why == "why"));
    }
}
