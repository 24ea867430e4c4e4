//! The sources, held to the table of rooms in the documentation of src/lib.rs: imports go down, and only where it says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[path = "rooms/paths.rs"]
mod paths;

use paths::{Tokens, crate_paths};

/// A row of the table.
#[derive(Debug, PartialEq)]
struct Room {
    level: u32,
    may_import: MayImport,
}

#[derive(Debug, PartialEq)]
enum MayImport {
    All,
    These(BTreeSet<String>),
}

/// A file of src/ and the room that it belongs to.
struct Source {
    path: PathBuf,
    room: String,
    text: String,
}

impl Room {
    fn may_import(&self, other: &str) -> bool {
        match &self.may_import {
            MayImport::All => true,
            MayImport::These(rooms) => rooms.contains(other),
        }
    }
}

impl Source {
    /// How many modules deep it is: 0 for the crate's root.
    fn depth(&self) -> usize {
        let inside = self.path.with_extension("");
        match inside.to_str() {
            Some("lib" | "main") => 0,
            _ => inside.components().count(),
        }
    }

    /// The rooms that it names by a path from the crate's root.
    fn imports(&self) -> BTreeSet<String> {
        // The binary sees the library as a crate.
        let root = if self.room == "main" {
            "exp_rkt_grpc"
        } else {
            "crate"
        };
        crate_paths(&self.text, root, self.depth())
    }

    fn is_below(&self, module: &str) -> bool {
        self.path == Path::new(module).with_extension("rs") || self.path.starts_with(module)
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file of this kind in a folder and below.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|ending| ending == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<Source> {
    let src = folder("src");
    let source = |path: PathBuf| {
        let text = read(&path);
        let path = path.strip_prefix(&src).expect("it is below").to_owned();
        let first = path.iter().next().map(Path::new).expect("it has a name");
        let room = first.with_extension("").display().to_string();
        Source { path, room, text }
    };
    files(&src, "rs").into_iter().map(source).collect()
}

/// The table of the documentation: the rows that begin with a module's name in backticks.
fn table(documentation: &str) -> BTreeMap<String, Room> {
    let rows = documentation
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "));
    rows.filter_map(row).collect()
}

fn row(line: &str) -> Option<(String, Room)> {
    let cells: Vec<_> = line.split('|').map(str::trim).collect();
    let name = cells.first()?.trim_matches(['[', ']']);
    let name = name.strip_prefix('`')?.strip_suffix('`')?;
    let may_import = match *cells.get(3)? {
        "all" => MayImport::All,
        "–" => MayImport::These(BTreeSet::new()),
        rooms => MayImport::These(
            rooms
                .split(',')
                .map(|room| room.trim().to_owned())
                .collect(),
        ),
    };
    let level = cells.get(1)?.parse().expect("a level is a number");
    Some((name.to_owned(), Room { level, may_import }))
}

fn rooms() -> BTreeMap<String, Room> {
    table(&read(&folder("src/lib.rs")))
}

/// What every file imports, as (file, room, imported room); imports within a room are left out.
fn imports() -> Vec<(PathBuf, String, String)> {
    let mut imports = Vec::new();
    for source in sources() {
        for imported in source.imports() {
            if imported != source.room {
                imports.push((source.path.clone(), source.room.clone(), imported));
            }
        }
    }
    imports
}

#[test]
fn the_table_is_found() {
    let rooms = rooms();
    assert!(rooms.len() >= 10, "{rooms:?}");
    assert_eq!(rooms["main"].may_import, MayImport::All);
    assert!(rooms["observe"].may_import("images"));
    assert!(!rooms["images"].may_import("observe"));
}

#[test]
fn imports_are_found() {
    let imports = imports();
    let found = |room: &str, imported: &str| {
        let mut pairs = imports.iter().map(|(_, room, imported)| (room, imported));
        pairs.any(|pair| pair == (&room.to_owned(), &imported.to_owned()))
    };
    assert!(found("main", "daemon"), "{imports:?}");
    assert!(found("observe", "images"), "{imports:?}");
    assert!(found("telemetry", "config"), "{imports:?}");
}

#[test]
fn a_room_imports_only_what_the_table_lists_for_it() {
    let rooms = rooms();
    for (file, room, imported) in imports() {
        assert!(
            rooms[&room].may_import(&imported),
            "{} imports {imported}",
            file.display()
        );
    }
}

#[test]
fn imports_go_down_a_level() {
    let rooms = rooms();
    for (file, room, imported) in imports() {
        assert!(
            rooms[&room].level > rooms[&imported].level,
            "{} imports {imported}, which is not below it",
            file.display()
        );
    }
}

#[test]
fn the_table_lists_only_rooms_of_lower_levels() {
    let rooms = rooms();
    for (name, room) in &rooms {
        let MayImport::These(listed) = &room.may_import else {
            continue;
        };
        for other in listed {
            let below = rooms.get(other).map(|other| other.level < room.level);
            assert_eq!(below, Some(true), "{name} lists {other}");
        }
    }
}

#[test]
fn every_room_of_the_table_is_imported_as_listed() {
    let imports = imports();
    for (name, room) in rooms() {
        let MayImport::These(listed) = &room.may_import else {
            continue;
        };
        for other in listed {
            let mut pairs = imports.iter().map(|(_, room, other)| (room, other));
            assert!(
                pairs.any(|pair| pair == (&name, other)),
                "{name} lists {other} and does not import it"
            );
        }
    }
}

#[test]
fn every_module_is_in_the_table_and_the_table_has_no_others() {
    let listed: BTreeSet<_> = rooms().into_keys().collect();
    let mut found: BTreeSet<_> = sources().into_iter().map(|source| source.room).collect();
    assert!(found.remove("lib"));
    assert_eq!(found, listed);
}

#[test]
fn every_generated_package_is_seen_by_exactly_one_file() {
    let sources = sources();
    for proto in files(&folder("proto"), "proto") {
        let text = read(&proto);
        let package = text
            .lines()
            .find_map(|line| line.strip_prefix("package ")?.strip_suffix(';'))
            .expect("every .proto file has a package");
        let include = format!("include_proto!(\"{package}\")");
        let seeing: Vec<_> = sources
            .iter()
            .filter(|source| source.text.contains(&include))
            .map(|source| source.path.display().to_string())
            .collect();
        assert_eq!(seeing.len(), 1, "{package} is seen by {seeing:?}");
    }
}

#[test]
fn generated_code_is_private_to_its_file() {
    for source in sources() {
        let Some((before, _)) = source.text.split_once("tonic::include_proto!") else {
            continue;
        };
        let module = before.lines().rfind(|line| line.contains("mod "));
        let module = module.expect("generated code is in a module of its own");
        assert!(
            module.trim_start().starts_with("mod "),
            "{}: {module}",
            source.path.display()
        );
    }
}

#[test]
fn the_crates_of_2024_are_seen_by_the_jaeger_exporter_only() {
    let old = [
        "opentelemetry_jaeger",
        "opentelemetry_0_23",
        "opentelemetry_sdk_0_23",
        "thrift",
    ];
    let mut seen = false;
    for source in sources() {
        for name in Tokens::of(&source.text).names() {
            if old.contains(&name.as_str()) {
                seen = true;
                let path = source.path.display();
                assert!(source.is_below("telemetry/jaeger"), "{path} sees {name}");
            }
        }
    }
    assert!(seen, "the exporter itself was not looked at");
}
