//! Whether machines can be booted here.

use std::env;
use std::io::Write;
use std::path::Path;
use std::sync::LazyLock;

use crate::debian::{self, Suite};

/// Whether this host can boot machines; says loudly, and once, why not, and panics with `CI` set.
#[track_caller]
pub(super) fn possible() -> bool {
    static OBSTACLE: LazyLock<Option<String>> = LazyLock::new(|| {
        let obstacle = obstacle()?;
        // The test runner keeps what is printed by macros to itself when a test passes.
        let _ = writeln!(
            std::io::stderr(),
            "\n*** Tests on booted machines are SKIPPED: {obstacle}.\n"
        );
        Some(obstacle)
    });
    match &*OBSTACLE {
        None => true,
        Some(obstacle) => {
            assert!(
                env::var_os("CI").is_none_or(|ci| ci.is_empty()),
                "tests on booted machines cannot be skipped where CI is set, and {obstacle}"
            );
            false
        }
    }
}

fn obstacle() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root can boot a machine".to_owned());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let installed =
        |program: &str| env::split_paths(&path).any(|folder| folder.join(program).exists());
    if !installed("systemd-nspawn") {
        return Some(
            "there is no systemd-nspawn (Debian: systemd-container; tests/setup installs it)"
                .to_owned(),
        );
    }
    if !Path::new("/sys/fs/cgroup/unified").exists()
        && !Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
    {
        return Some("there is no cgroup v2 hierarchy below /sys/fs/cgroup".to_owned());
    }
    debian::root(Suite::Bookworm).err()
}
