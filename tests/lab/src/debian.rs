//! Minimal root file systems of Debian suites, which do not change while tests run: see `tests/lab/debian`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::skip;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/debian");

/// A Debian suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// Debian 12 with systemd 252, containerd and the packages that the tests on booted machines use.
    Bookworm,
    /// Debian 13 with glibc 2.41 and systemd's modules for name lookups.
    Trixie,
}

/// The path of a suite's root. It is made if it is missing or too old. Tests share it and must not write to it.
///
/// Returns `None` and prints a warning if the root cannot be made; panics if `CI` is set.
#[track_caller]
pub fn root(suite: Suite) -> Option<&'static Path> {
    static BOOKWORM: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| make("bookworm"));
    static TRIXIE: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| make("trixie"));
    let made = match suite {
        Suite::Bookworm => &*BOOKWORM,
        Suite::Trixie => &*TRIXIE,
    };
    skip::without(made.as_deref())
}

/// The script's standard error is inherited: it shows the progress, and the reason of a failure.
fn make(suite: &str) -> Result<PathBuf, String> {
    let made = Command::new(SCRIPT)
        .arg(suite)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{SCRIPT} does not start: {error}"))?;
    if !made.status.success() {
        return Err(format!("{SCRIPT} {suite} failed, see above"));
    }
    let path = String::from_utf8_lossy(&made.stdout);
    Ok(PathBuf::from(path.trim_end()))
}
