//! The journal's message catalog explains every log entry that has a message id, and no others.

use std::{collections::BTreeSet, fs, process::Command};

const CATALOG: &str = include_str!("../packaging/exp-rkt-grpc.catalog");
const IDS: &str = include_str!("../src/telemetry/log/journal.rs");
/// The sources that log entries with a message id.
const ENTRIES: &str = concat!(
    include_str!("../src/daemon.rs"),
    include_str!("../src/daemon/predecessor.rs"),
    include_str!("../src/main.rs"),
    include_str!("../src/observe/event.rs"),
    include_str!("../src/refusal.rs"),
    include_str!("../src/telemetry/log/journal.rs"),
);

#[test]
fn the_catalog_explains_exactly_the_message_ids_in_the_source() {
    let explained: BTreeSet<&str> = explained().collect();
    let emitted: BTreeSet<&str> = IDS.split('"').filter(|text| is_id(text)).collect();
    assert!(emitted.len() >= 5, "{emitted:?}");
    assert_eq!(explained, emitted);
}

#[test]
fn the_catalog_uses_only_fields_that_log_entries_have() {
    let fields: BTreeSet<&str> = CATALOG
        .lines()
        .flat_map(|line| line.split('@').skip(1).step_by(2))
        .collect();
    assert!(fields.contains("IMAGESTORE_STORE"), "fields {fields:?}");
    for field in fields {
        let name = field
            .to_lowercase()
            .replacen("imagestore_", "imagestore.", 1);
        let given = [
            format!("{name} ="),
            format!("{name},"),
            format!("%{name}"),
            format!("\"{field}\""),
        ];
        assert!(
            given.iter().any(|form| ENTRIES.contains(form)),
            "the catalog uses @{field}@, but no entry has this field"
        );
    }
}

#[test]
fn journalctl_lists_every_catalog_entry() {
    let root = std::env::temp_dir().join(format!("exp-rkt-grpc-catalog-{}", std::process::id()));
    for folder in ["usr/lib/systemd/catalog", "var/lib/systemd/catalog"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::write(
        root.join("usr/lib/systemd/catalog/exp-rkt-grpc.catalog"),
        CATALOG,
    )
    .unwrap();
    let journalctl = |act: &str| {
        let root = format!("--root={}", root.display());
        let output = Command::new("journalctl")
            .args([&root, act])
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.success() && errors.is_empty(),
            "{act}: {errors}"
        );
        String::from_utf8(output.stdout).unwrap()
    };
    journalctl("--update-catalog");
    let listed = journalctl("--list-catalog");
    fs::remove_dir_all(&root).unwrap();
    for id in explained() {
        assert!(
            listed.contains(&format!("{id} exp-rkt-grpc: ")),
            "{id} is not in {listed}"
        );
    }
    assert_eq!(listed.lines().count(), explained().count());
}

fn explained() -> impl Iterator<Item = &'static str> {
    CATALOG.lines().filter_map(|line| line.strip_prefix("-- "))
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.chars().all(|c| c.is_ascii_hexdigit())
}
