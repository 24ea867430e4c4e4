//! The package that is tested: what `make deb` makes of these sources.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex};

/// The package.
pub(crate) static PACKAGE: LazyLock<PathBuf> = LazyLock::new(|| make_deb(1));

/// The same contents as a later revision.
pub(crate) static NEXT_PACKAGE: LazyLock<PathBuf> = LazyLock::new(|| make_deb(2));

fn make_deb(revision: u32) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();
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
