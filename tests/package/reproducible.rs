//! How `make reproducible` reports a difference.

use std::env::consts::ARCH;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::built::{packages, run};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What `tests/reproducible` prints about packages whose tree was changed by this command of the shell.
fn compared(name: &str, change: &str) -> (bool, String) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let built = packages().deb.parent().unwrap();
    let installed = built.join(format!("tree-{ARCH}-unknown-linux-musl"));
    let tree = folder.join("tree");
    run(Command::new("cp").arg("-a").args([&installed, &tree]));
    run(Command::new("sh").args(["-c", change]).current_dir(&tree));
    for (script, architecture) in [
        (
            "packaging/build-deb",
            packages().dpkg_deb("--field", "Architecture"),
        ),
        ("packaging/build-rpm", ARCH.to_owned()),
    ] {
        run(Command::new(script)
            .args([&tree, &folder])
            .args([VERSION, "1", architecture.trim_end()])
            .env_remove("DEBEMAIL"));
    }
    let output = Command::new("tests/reproducible")
        .arg(VERSION)
        .arg(built)
        .arg(&folder)
        .output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.success(), said)
}

#[test]
fn packages_of_the_same_tree_are_the_same() {
    let (same, said) = compared("same", "find . -exec touch {} +");
    assert!(same, "{said}");
    assert_eq!(said.matches("identical: ").count(), 2, "{said}");
}

#[test]
fn a_file_that_differs_is_named_for_both_packages() {
    let (same, said) = compared(
        "differing",
        "echo more >>usr/share/doc/exp-rkt-grpc/alerts.md",
    );
    assert!(!same, "{said}");
    let named = "files/usr/share/doc/exp-rkt-grpc/alerts.md differ\n";
    assert_eq!(said.matches(named).count(), 2, "{said}");
    assert_eq!(said.matches("+more").count(), 2, "{said}");
}

#[test]
fn a_mode_that_differs_is_named() {
    let (same, said) = compared("modes", "chmod 755 usr/share/doc/exp-rkt-grpc/copyright");
    assert!(!same, "{said}");
    assert!(said.contains("copyright"), "{said}");
}
