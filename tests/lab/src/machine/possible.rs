//! Checks whether this host can boot machines.

use std::env;
use std::path::Path;
use std::sync::LazyLock;

use crate::skip;

/// Whether this host can boot machines. Prints a warning with the reason if not; panics if `CI` is set.
#[track_caller]
pub(super) fn possible() -> bool {
    static OBSTACLE: LazyLock<Option<&str>> = LazyLock::new(obstacle);
    if let Some(obstacle) = *OBSTACLE {
        skip::loudly(obstacle);
    }
    OBSTACLE.is_none()
}

fn obstacle() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root can boot a machine");
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let installed =
        |program: &str| env::split_paths(&path).any(|folder| folder.join(program).exists());
    if !installed("systemd-nspawn") {
        return Some(
            "systemd-nspawn is not installed (Debian: systemd-container; run tests/setup)",
        );
    }
    if !Path::new("/sys/fs/cgroup/unified").exists()
        && !Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
    {
        return Some("there is no cgroup v2 hierarchy below /sys/fs/cgroup");
    }
    None
}
