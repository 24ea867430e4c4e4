//! What is tested: the Debian package that `make deb` makes of these sources, and the released one that it replaces.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use lab::skip;
use lab::supply::{Obstacle, path_from};

/// The packages; built before a machine is booted, because they may be built below files that machines see.
pub(crate) struct Packages {
    pub(crate) this: PathBuf,
    /// The same contents as a later revision.
    pub(crate) next: PathBuf,
}

pub(crate) static PACKAGES: LazyLock<Packages> = LazyLock::new(|| Packages {
    next: make_deb(2),
    this: make_deb(1),
});

/// The package of version 0.1.0. `None`, with a warning, if its sources are not in this repository.
#[track_caller]
pub(crate) fn released() -> Option<&'static Path> {
    static RELEASED: LazyLock<Result<PathBuf, Obstacle>> = LazyLock::new(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/released");
        path_from(script, &[])
    });
    skip::without_supply(RELEASED.as_deref())
}

fn target() -> &'static Path {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    temporary.parent().expect("it is in the target folder")
}

fn make_deb(revision: u32) -> PathBuf {
    let mut make = Command::new("make");
    make.args(["--silent", "deb", &format!("REVISION={revision}")])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", target())
        // Settings of the cargo and make that run this test must not reach this make.
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") {
            make.env_remove(name);
        }
    }
    let output = make.output().expect("make is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "make deb: {}\n{said}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let package = said.lines().last().expect("it says what it has made");
    PathBuf::from(package)
}
