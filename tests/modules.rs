//! Checks the sources against the table of modules in src/lib.rs: a module imports only what its row lists, from lower levels.

use std::{collections::BTreeMap, fs, path::Path};

/// The level and the imports of each module in the table.
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

/// The modules that a source names after `crate::`: a single one or a list in braces.
fn imports(source: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for after in source.split("crate::").skip(1) {
        let mut depth = 0;
        for name in after.split_inclusive([',', '{', '}', ';', ' ', '\n', ')']) {
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

/// The source text of a module and its children.
fn sources(module: &Path) -> String {
    let below = fs::read_dir(module).into_iter().flatten();
    let below = below.map(|entry| entry.expect("src can be read").path().with_extension(""));
    let own = fs::read_to_string(module.with_extension("rs")).unwrap_or_default();
    let mut below: Vec<_> = below.collect();
    below.sort();
    below.dedup();
    own + &below.iter().map(|path| sources(path)).collect::<String>()
}

#[test]
fn a_module_imports_exactly_what_the_table_lists_and_only_from_lower_levels() {
    let table = table();
    assert!(table.len() > 15, "{table:?}");
    for (module, (level, listed)) in &table {
        if module == "main" {
            continue;
        }
        let text = sources(
            &Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("src")
                .join(module),
        );
        let mut found: Vec<_> = imports(&text).into_iter().collect();
        found.retain(|name| name != module && table.contains_key(*name));
        found.sort_unstable();
        found.dedup();
        let found: Vec<_> = found.into_iter().map(str::to_owned).collect();
        let expected: Vec<_> = listed.iter().filter(|name| *name != "–").cloned().collect();
        assert_eq!(found, expected, "{module}");
        assert!(
            found.iter().all(|below| table[below].0 < *level),
            "{module}"
        );
    }
}

#[test]
fn only_the_jaeger_exporter_uses_the_crates_of_opentelemetry_0_23() {
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
        assert!(seen > 0, "no source mentions {name}");
        assert_eq!(all.matches(name).count(), seen, "{name}");
    }
}
