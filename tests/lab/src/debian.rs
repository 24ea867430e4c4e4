//! The files of Debian releases, each made once a week by `tests/lab/debian`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The script that makes them.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/debian");

/// What Cargo marks its target folder with.
const MARK: &str = "CACHEDIR.TAG";

/// A release of Debian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// Debian 12: what machines are booted from.
    Bookworm,
    /// Debian 13, with every module that looks up names for glibc.
    Trixie,
}

/// Where the files of `suite` are: a folder that never changes.
///
/// # Errors
///
/// Why they cannot be made here: that takes root, mmdebstrap and a Debian mirror.
pub fn root(suite: Suite) -> Result<&'static Path, String> {
    static BOOKWORM: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| make("bookworm"));
    static TRIXIE: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| make("trixie"));
    let made = match suite {
        Suite::Bookworm => &BOOKWORM,
        Suite::Trixie => &TRIXIE,
    };
    made.as_deref().map_err(Clone::clone)
}

fn make(suite: &str) -> Result<PathBuf, String> {
    let output = Command::new(SCRIPT)
        .arg(target_folder().join("debian"))
        .arg(suite)
        .output()
        .map_err(|error| format!("{SCRIPT} does not start: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr)
            .trim_end()
            .to_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().into())
}

/// Cargo's, in which this test program was built.
fn target_folder() -> PathBuf {
    let program = env::current_exe().expect("proc is mounted");
    let mut folders = program.ancestors();
    folders
        .find(|folder| folder.join(MARK).exists())
        .expect("tests are built in the target folder")
        .to_owned()
}
