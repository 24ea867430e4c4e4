//! Minimal root file systems of Debian suites, which do not change while tests run: see `tests/lab/debian`.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::skip;
use crate::supply::{Obstacle, path_from};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/debian");

/// A Debian suite, with a booted systemd's packages and those that the tests on booted machines use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// Debian 12 with systemd 252 and containerd 1.6.
    Bookworm,
    /// Debian 13 with systemd 257, containerd 1.7, glibc 2.41 and systemd's modules for name lookups.
    Trixie,
}

impl Suite {
    const ALL: [Self; 2] = [Self::Bookworm, Self::Trixie];

    /// The suite of [machines](crate::machine) in this process: the one that the variable `SUITE` names, or bookworm.
    ///
    /// # Panics
    ///
    /// If it names none.
    pub fn of_machines() -> Self {
        let Some(name) = env::var_os("SUITE").filter(|name| !name.is_empty()) else {
            return Self::Bookworm;
        };
        let named = Self::ALL.into_iter().find(|suite| *suite.name() == *name);
        named.unwrap_or_else(|| panic!("SUITE is bookworm or trixie, and not {}", name.display()))
    }

    /// Debian's name for it, such as `bookworm`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

/// The path of a suite's root. It is made if it is missing or too old. Tests share it and must not write to it.
///
/// Returns `None` and prints a warning if the root cannot be made. If `CI` is set, panics unless no mirror can be reached.
#[track_caller]
pub fn root(suite: Suite) -> Option<&'static Path> {
    static ROOTS: [OnceLock<Result<PathBuf, Obstacle>>; 2] = [const { OnceLock::new() }; 2];
    let made = ROOTS[suite as usize].get_or_init(|| path_from(SCRIPT, &[suite.name()]));
    skip::without_supply(made.as_deref())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use tempfile::tempdir;

    use super::SCRIPT;
    use crate::service::ReservedPort;
    use crate::skip;

    /// The exit status and the standard error of the script on a host with this mirror only, and no root yet.
    fn make_from(mirror: &str, folder: &Path) -> Option<(Option<i32>, String)> {
        if !rustix::process::geteuid().is_root() {
            skip::loudly("only root can make a root");
            return None;
        }
        let sources = folder.join("sources.list");
        fs::write(&sources, format!("deb {mirror} trixie main\n")).expect("it can be written");
        let settings = folder.join("apt.conf");
        let list = format!("Dir::Etc::SourceList \"{}\";\n", sources.display());
        fs::write(&settings, list + "Dir::Etc::SourceParts \"/dev/null\";\n").expect("so can this");
        let output = Command::new(SCRIPT)
            .arg("trixie")
            .env("APT_CONFIG", settings)
            .env("CARGO_TARGET_DIR", folder)
            .output()
            .expect("the script starts");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Some((output.status.code(), stderr))
    }

    #[test]
    fn a_mirror_that_cannot_be_reached_is_told_from_one_without_the_suite() {
        const WHY: &str = "no reachable Debian mirror with trixie";
        let folder = tempdir().expect("a temporary folder can be made");
        let port = ReservedPort::reserve();
        let unreachable = format!("http://{}/debian", port.address());
        let Some((status, stderr)) = make_from(&unreachable, folder.path()) else {
            return;
        };
        assert_eq!(status, Some(3), "{stderr}");
        assert!(stderr.contains(WHY), "{stderr}");

        let suite = folder.path().join("dists/trixie");
        fs::create_dir_all(&suite).expect("it can be made");
        fs::write(suite.join("InRelease"), "Origin: Other\n").expect("it can be written");
        let other = format!("file:{}", folder.path().display());
        let (status, stderr) = make_from(&other, folder.path()).expect("as before");
        assert_eq!(status, Some(1), "{stderr}");
        assert!(stderr.contains(WHY), "{stderr}");
    }
}
