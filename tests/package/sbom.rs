//! The software bill of materials: what it lists, and its format.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use flate2::read::ZlibDecoder;
use lab::peers::{self, Peer};
use serde_json::Value;

use super::built::{Packages, for_each_processor, packages, run, text};

const VALIDATE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/peers/sbom-schema/validate.py"
);

fn path(packages: &Packages) -> PathBuf {
    let path = "usr/share/doc/exp-rkt-grpc/exp-rkt-grpc.cdx.json";
    packages.tree.join(path)
}

fn components() -> Vec<Value> {
    let sbom: Value = serde_json::from_slice(&fs::read(path(packages())).unwrap()).unwrap();
    sbom["components"].as_array().unwrap().clone()
}

fn field<'a>(component: &'a Value, name: &str) -> &'a str {
    component[name].as_str().unwrap_or_default()
}

/// A crate as in the headings of the notices.
fn heading(component: &Value) -> Option<String> {
    let [name, version] = ["name", "version"].map(|part| field(component, part));
    let purl = format!("pkg:cargo/{name}@{version}").replace('+', "%2B");
    let licence = field(&component["licenses"][0], "expression");
    (field(component, "purl") == purl).then(|| format!("==== {name}-{version}: {licence}"))
}

#[test]
fn the_sbom_lists_exactly_the_crates_of_the_notices() {
    let notices = path(packages()).with_file_name("notices.gz");
    let notices = text(&run(Command::new("zcat").arg(notices)));
    let headings = notices.lines().filter(|line| line.starts_with("==== "));
    // Crates may have the form of a licence that Cargo used to have; `musl, https://musl.libc.org` is no crate.
    let expected: BTreeSet<String> = headings
        .filter(|line| !line.contains("musl.libc.org"))
        .map(|line| line.replace(" / ", "/").replace('/', " OR "))
        .collect();
    let found: BTreeSet<String> = components().iter().filter_map(heading).collect();
    assert!(found.len() > 50, "{found:?}");
    assert_eq!(found, expected);
}

#[test]
fn the_sbom_lists_the_libraries_of_rust_and_musl() {
    let found = components();
    let others = found
        .iter()
        .filter(|component| heading(component).is_none());
    let mut others: Vec<&str> = others.map(|component| field(component, "name")).collect();
    others.sort_unstable();
    assert_eq!(others, ["libunwind", "musl", "std"]);
    let std = found
        .iter()
        .find(|component| field(component, "name") == "std");
    let version = field(std.unwrap(), "version");
    let rust = text(&run(Command::new("rustc").arg("--version")));
    assert!(rust.starts_with(&format!("rustc {version} ")), "{rust}");
}

#[test]
fn the_sbom_has_the_checksums_of_cargo_lock() {
    let lock = fs::read_to_string("Cargo.lock").unwrap();
    for component in components()
        .iter()
        .filter(|component| heading(component).is_some())
    {
        let [name, version] = ["name", "version"].map(|part| field(component, part));
        let package = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        let (_, package) = lock.split_once(&package).unwrap();
        let hash = &component["hashes"][0];
        let checksum = format!("checksum = \"{}\"", field(hash, "content"));
        assert_eq!(field(hash, "alg"), "SHA-256");
        assert_eq!(package.lines().nth(1), Some(&*checksum), "{name}");
    }
}

#[test]
fn every_component_of_the_sbom_is_needed_by_the_program() {
    let sbom: Value = serde_json::from_slice(&fs::read(path(packages())).unwrap()).unwrap();
    let entries = sbom["dependencies"].as_array().unwrap();
    let needed_by = |reference: &str| {
        let entry = entries
            .iter()
            .find(|entry| field(entry, "ref") == reference);
        entry.unwrap()["dependsOn"].as_array().unwrap().iter()
    };
    let program = field(&sbom["metadata"]["component"], "bom-ref");
    let mut found = BTreeSet::new();
    let mut left = vec![program];
    while let Some(reference) = left.pop() {
        let needed = needed_by(reference).filter_map(Value::as_str);
        left.extend(needed.filter(|needed| found.insert(*needed)));
    }
    let components = components();
    let listed: BTreeSet<&str> = components
        .iter()
        .map(|listed| field(listed, "bom-ref"))
        .collect();
    assert_eq!(found, listed);
}

#[test]
fn the_sbom_is_valid_cyclonedx() {
    let Some(schema) = peers::folder(Peer::SbomSchema) else {
        return;
    };
    let mut python = Command::new("python3");
    run(python
        .arg(VALIDATE)
        .arg(path(packages()))
        .env("PYTHONPATH", schema));
}

#[test]
fn the_sbom_does_not_name_the_folders_of_the_build() {
    let sbom = fs::read_to_string(path(packages())).unwrap();
    for folder in [
        env!("CARGO_MANIFEST_DIR"),
        &env::var("HOME").unwrap(),
        "file:",
    ] {
        assert!(!sbom.contains(folder), "{folder}");
    }
}

/// The list of crates that cargo-auditable has added to the program.
fn embedded(packages: &Packages) -> Value {
    let program = packages.program();
    let sections = text(&run(Command::new("readelf").arg("-SW").arg(&program)));
    let (_, section) = sections.split_once(" .dep-v0 ").unwrap();
    let mut numbers = section
        .split_whitespace()
        .skip(2)
        .map(|number| usize::from_str_radix(number, 16).unwrap());
    let [start, length] = [(); 2].map(|()| numbers.next().unwrap());
    let compressed = &fs::read(program).unwrap()[start..start + length];
    serde_json::from_reader(ZlibDecoder::new(compressed)).unwrap()
}

/// cargo-auditable also lists macros, and crates that only features of the tests need.
#[test]
fn the_program_itself_lists_the_crates_of_the_sbom() {
    let components = components();
    let crates = components
        .iter()
        .filter(|component| heading(component).is_some());
    let crates = crates.map(|krate| [field(krate, "name"), field(krate, "version")]);
    let crates: BTreeSet<[&str; 2]> = crates.collect();
    for packages in for_each_processor() {
        let embedded = embedded(packages);
        let embedded = embedded["packages"].as_array().unwrap();
        let listed = embedded.iter().filter(|krate| krate["kind"] != "build");
        let listed = listed.map(|krate| [field(krate, "name"), field(krate, "version")]);
        let missing: Vec<_> = crates.difference(&listed.collect()).copied().collect();
        assert_eq!(missing, [[""; 2]; 0]);
    }
}
