//! Minimal roots of Debian suites, which do not change while tests run: see `tests/lab/debian`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::skip;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/debian");

/// A suite of which roots are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// Debian 12 with systemd 252, containerd and what the tests on booted machines use.
    Bookworm,
    /// Debian 13 with glibc 2.41 and systemd's modules for name lookups.
    Trixie,
}

/// The path of a suite's root, which is made when there is none or it is old. It is shared: nobody may write to it.
///
/// `None` where it cannot be made, which is said loudly; with `CI` set that is a panic.
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

/// What the script says on standard error is for whoever waits, and for those who look for the reason.
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
