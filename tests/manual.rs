//! The man page, /etc/default and the documentation are complete, and name nothing that does not exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use clap::CommandFactory;
use exp_rkt_grpc::config::{Options, VARIABLES};

const DEFAULTS: &str = include_str!("../packaging/exp-rkt-grpc.default");
const README: &str = include_str!("../README.md");
const TRACING: &str = include_str!("../docs/tracing.md");
const SECTIONS: &str = include_str!("../packaging/manual/sections.roff");
/// Where the names of the metrics are.
const FAMILIES: &str = concat!(
    include_str!("../src/metrics.rs"),
    include_str!("../src/metrics/families.rs"),
    include_str!("../src/metrics/stores.rs"),
);

#[test]
fn etc_default_has_every_variable_commented_out_with_its_default() {
    let shown: BTreeMap<String, String> = DEFAULTS
        .lines()
        .filter(|line| !line.starts_with("# ") && !line.is_empty())
        .map(|line| {
            let (name, value) = line.split_once('=').unwrap();
            let name = name.strip_prefix('#').expect("a variable that is set");
            (name.to_owned(), value.to_owned())
        })
        .collect();
    assert_eq!(shown, variables());
}

#[test]
fn readme_and_tracing_page_have_every_variable_with_its_default() {
    for (name, default) in variables() {
        let row = README
            .lines()
            .chain(TRACING.lines())
            .find(|line| line.starts_with('|') && line.contains(&format!("`{name}`")));
        let row = row.unwrap_or_else(|| panic!("{name} is not in the table"));
        // A switch is off, and nothing is none.
        let shown = match (name.as_str(), default.as_str()) {
            ("EXP_RKT_GRPC_QUERY_AT_START", _) => "off".to_owned(),
            (_, "") => "none".to_owned(),
            (_, default) => format!("`{default}`"),
        };
        let defaults = row.rsplit(" | ").nth(1);
        let defaults = defaults.expect("the default is the last column but one");
        assert!(defaults.contains(&shown), "{name}: {shown} is not in {row}");
    }
}

#[test]
fn the_man_page_names_every_variable_metric_and_unit() {
    let units = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/systemd")).unwrap();
    let units = units.map(|unit| unit.unwrap().file_name().into_string().unwrap());
    let metrics = FAMILIES.split('"').filter(|text| is_metric(text));
    let names = variables().into_keys();
    let names = names.chain(metrics.map(str::to_owned)).chain(units);
    let words: Vec<&str> = words().collect();
    for name in names {
        assert!(
            words.contains(&name.as_str()),
            "{name} is not in the man page"
        );
    }
}

#[test]
fn the_man_page_names_only_metrics_that_exist() {
    for name in words().filter(|word| is_metric(word)) {
        assert!(
            FAMILIES.contains(&format!("\"{name}\"")),
            "{name} is not a metric"
        );
    }
}

#[test]
fn the_readme_has_every_metric_in_its_table_and_no_other() {
    let rows = README.lines().filter(|line| line.starts_with("| `"));
    let shown = rows.filter_map(|row| row.split(" | ").next());
    let shown: BTreeSet<&str> = shown
        .flat_map(|cell| cell.split('`'))
        .filter(|word| is_metric(word))
        .collect();
    let metrics = FAMILIES.split('"').filter(|text| is_metric(text));
    assert_eq!(shown, metrics.collect::<BTreeSet<_>>());
}

fn words() -> impl Iterator<Item = &'static str> {
    SECTIONS.split([' ', '\n', '"', ',', '/'])
}

fn is_metric(text: &str) -> bool {
    let name = text
        .strip_prefix("imagestore_")
        .or_else(|| text.strip_prefix("exp_rkt_grpc_"));
    name.is_some_and(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
}

/// Every variable, and its default.
fn variables() -> BTreeMap<String, String> {
    let command = Options::command();
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let of_clap = shown.filter_map(|arg| {
        let name = arg.get_env()?.to_str()?.to_owned();
        let default = match arg.get_default_values() {
            [] if arg.get_action().takes_values() => "",
            [] => "false",
            [default, ..] => default.to_str()?,
        };
        Some((name, default.to_owned()))
    });
    let of_traces =
        VARIABLES.map(|variable| (variable.name.to_owned(), variable.default.to_owned()));
    of_clap.chain(of_traces).collect()
}
