//! What is tested: the Debian package that `make deb` makes of these sources.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

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

fn make_deb(revision: u32) -> PathBuf {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let target = target.parent().expect("it is in the target folder");
    let mut make = Command::new("make");
    make.args(["--silent", "deb", &format!("REVISION={revision}")])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", target)
        // What this test's own cargo and make have told it is not meant for these.
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
