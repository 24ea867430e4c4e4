//! The installed program: it needs nothing of its host, and brings its notices.

use std::collections::BTreeSet;
use std::process::Command;
use std::{env, fs};

use super::built::{for_each_processor, run, text};

#[test]
fn the_program_needs_no_other_file() {
    for packages in for_each_processor() {
        let mut readelf = Command::new("readelf");
        let read = text(&run(readelf.args(["-ldW"]).arg(packages.program())));
        assert!(read.contains("LOAD"), "{read}");
        assert!(!read.contains("INTERP"), "{read}");
        assert!(!read.contains("NEEDED"), "{read}");
    }
}

/// Rust links only that for amd64 position-independent: see SECURITY.md.
#[test]
fn the_address_of_the_code_is_random_on_amd64() {
    for packages in for_each_processor() {
        let mut readelf = Command::new("readelf");
        let header = text(&run(readelf.arg("-h").arg(packages.program())));
        let kind = match header.contains("X86-64") {
            true => " DYN ",
            false => " EXEC ",
        };
        assert!(header.contains(kind), "{header}");
    }
}

/// glibc, linked statically, loads the modules that the host's nsswitch.conf names: see `names`.
#[test]
fn the_program_loads_no_module_of_its_host() {
    for packages in for_each_processor() {
        let program = fs::read(packages.program()).unwrap();
        assert!(holds(&program, "/etc/resolv.conf"), "it looks names up");
        for glibc in ["nsswitch.conf", "libnss_"] {
            assert!(!holds(&program, glibc), "{glibc}");
        }
    }
}

#[test]
fn the_program_does_not_name_the_folders_it_was_built_in() {
    for packages in for_each_processor() {
        let program = fs::read(packages.program()).unwrap();
        let names = |text| holds(&program, text);
        assert!(names("/cargo/tokio-"), "no source paths for panics");
        let home = env::var("HOME").unwrap();
        for folder in [
            env!("CARGO_MANIFEST_DIR"),
            &format!("{home}/"),
            "registry/src",
        ] {
            assert!(!names(folder), "{folder}");
        }
    }
}

/// The program names only crates that can panic.
#[test]
fn the_crates_that_the_program_names_are_in_its_notices() {
    for packages in for_each_processor() {
        let program = fs::read(packages.program()).unwrap();
        let program = String::from_utf8_lossy(&program);
        let notices = packages.tree.join("usr/share/doc/exp-rkt-grpc/notices.gz");
        let notices = text(&run(Command::new("zcat").arg(notices)));
        let named: BTreeSet<&str> = program
            .split("/cargo/")
            .skip(1)
            .filter_map(|path| Some(path.split_once("/src/")?.0))
            .filter(|krate| !krate.contains(|other: char| other.is_control() || other == '/'))
            .collect();
        assert!(named.len() > 20, "{named:?}");
        let musl = fs::read_to_string("packaging/musl.copyright").unwrap();
        assert!(notices.contains(&musl), "musl's licence is missing");
        for krate in named {
            assert!(notices.contains(&format!("==== {krate}: ")), "{krate}");
        }
    }
}

fn holds(program: &[u8], text: &str) -> bool {
    program
        .windows(text.len())
        .any(|bytes| bytes == text.as_bytes())
}
