//! The sources, held to the table of rooms in the documentation of src/lib.rs: imports go down, and only where it says.

use std::{collections::BTreeMap, fs, path::Path};

/// Level and imports of each module that the table lists.
fn table() -> BTreeMap<String, (u32, Vec<String>)> {
    let lib = include_str!("../src/lib.rs").lines();
    let rows = lib.filter_map(|line| {
        let [_, module, level, _, imports, _] = line.split('|').collect::<Vec<_>>()[..] else {
            return None;
        };
        let imports = imports.split(',').map(|name| name.trim().to_owned());
        let module = module.trim().trim_matches(['[', ']', '`']);
        Some((
            module.to_owned(),
            (level.trim().parse().ok()?, imports.collect()),
        ))
    });
    rows.collect()
}

/// The modules that a source names behind `crate::`, one or a list in braces.
fn imports(source: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for behind in source.split("crate::").skip(1) {
        let mut depth = 0;
        for name in behind.split_inclusive([',', '{', '}', ';', ' ', '\n', ')']) {
            let module = name.split([':', ',', '}', ';', ' ', '\n', ')']).next();
            found.extend(module.filter(|module| depth < 2 && !module.is_empty()));
            depth += name.matches('{').count();
            depth -= name.matches('}').count().min(depth);
            if depth == 0 {
                break;
            }
        }
    }
    found
}

/// The sources of a module.
fn sources(module: &Path) -> String {
    let below = fs::read_dir(module).into_iter().flatten();
    let below = below.map(|entry| entry.expect("it can be read").path().with_extension(""));
    let own = fs::read_to_string(module.with_extension("rs")).unwrap_or_default();
    let mut below: Vec<_> = below.collect();
    below.sort();
    below.dedup();
    own + &below.iter().map(|path| sources(path)).collect::<String>()
}

#[test]
fn a_room_imports_what_the_table_lists_for_it_all_of_which_is_below_it() {
    let table = table();
    assert!(table.len() > 15, "{table:?}");
    for (room, (level, listed)) in &table {
        if room == "main" {
            continue;
        }
        let text = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room));
        let mut found: Vec<_> = imports(&text).into_iter().collect();
        found.retain(|name| name != room && table.contains_key(*name));
        found.sort_unstable();
        found.dedup();
        let found: Vec<_> = found.into_iter().map(str::to_owned).collect();
        let expected: Vec<_> = listed.iter().filter(|name| *name != "–").cloned().collect();
        assert_eq!(found, expected, "{room}");
        assert!(found.iter().all(|below| table[below].0 < *level), "{room}");
    }
}

#[test]
fn the_crates_of_2024_are_seen_by_the_jaeger_exporter_only() {
    let old = [
        "opentelemetry_jaeger",
        "opentelemetry_sdk_0_23",
        "opentelemetry_0_23",
        "thrift::",
    ];
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let jaeger = sources(&src.join("telemetry/jaeger"));
    let all = sources(&src);
    for name in old {
        let seen = jaeger.matches(name).count();
        assert!(seen > 0, "{name} is not seen at all");
        assert_eq!(all.matches(name).count(), seen, "{name}");
    }
}
