//! Helper programs in C that run on the machines, compiled once and linked statically.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// `tests/lab/intruder.c`: replaces the service's program, to test what an attacker could do in the sandbox.
pub(crate) static INTRUDER: LazyLock<PathBuf> = LazyLock::new(|| compile("intruder"));

/// `tests/lab/store-record.c`: puts a record into systemd's file descriptor store.
pub(crate) static STORE_RECORD: LazyLock<PathBuf> = LazyLock::new(|| compile("store-record"));

fn compile(name: &str) -> PathBuf {
    let sources = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab"));
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let compiled = Command::new("cc")
        .args(["-static", "-O1", "-Wall", "-Wextra", "-Werror"])
        .arg(sources.join(name).with_extension("c"))
        .arg("-o")
        .arg(&program)
        .output()
        .expect("cc(1) is installed: Rust links with it");
    assert!(compiled.status.success(), "{compiled:?}");
    program
}
