//! The files of `packaging/prometheus`, as promtool checks them: recording rules, alerts and scrape configurations.

use std::collections::BTreeSet;
use std::fs;

use lab::documents::{pages, root};
use lab::prometheus::Release;
use lab::{TempDir, tempdir};

lab::with_both! {
    v3:
    promtool_has_nothing_to_say_about_the_rules,
    the_alert_that_covers_a_week_fires_when_it_should_and_not_otherwise,
    the_alerts_fire_when_they_should_and_not_otherwise,
    the_list_of_hosts_is_the_one_that_the_configuration_reads,
    the_recording_rules_add_up_to_all_stores,
    the_scrape_configurations_are_valid,
    the_scrape_configurations_of_the_documentation_are_valid,
}

/// Runs promtool in a folder with the files of `packaging/prometheus` and `tests/rules`; panics unless it succeeds.
#[track_caller]
fn promtool(release: Release, arguments: &[&str]) {
    succeed(release, &files(), arguments);
}

#[track_caller]
fn succeed(release: Release, folder: &TempDir, arguments: &[&str]) {
    run(release, folder, arguments).unwrap_or_else(|shown| panic!("{shown}"));
}

/// Runs promtool in this folder. Its output is the error if it fails.
fn run(release: Release, folder: &TempDir, arguments: &[&str]) -> Result<(), String> {
    let output = release
        .promtool()
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .expect("promtool is missing: run tests/setup, or install Debian's package prometheus");
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// A folder with the files of `packaging/prometheus`, and with those of `tests/rules`, whose names get `test-` before them.
fn files() -> TempDir {
    let folder = tempdir().expect("a temporary folder can be made");
    for (source, prefix) in [("packaging/prometheus", ""), ("tests/rules", "test-")] {
        for file in fs::read_dir(root().join(source)).expect("the folder exists") {
            let file = file.expect("the folder can be listed");
            if file.path().is_dir() {
                continue;
            }
            let copy = format!("{prefix}{}", file.file_name().display());
            fs::copy(file.path(), folder.path().join(copy)).expect("a fresh folder can be written");
        }
    }
    folder
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("the file is text")
}

/// The names of the alerts, in their order.
fn alerts(rules: &str) -> Vec<&str> {
    let names = rules
        .lines()
        .filter_map(|line| line.split_once("- alert: "));
    names.map(|(_, name)| name).collect()
}

fn promtool_has_nothing_to_say_about_the_rules(release: Release) {
    promtool(
        release,
        &[
            "check",
            "rules",
            "--lint=all",
            "--lint-fatal",
            "alerts.yml",
            "recording-rules.yml",
        ],
    );
}

fn the_alerts_fire_when_they_should_and_not_otherwise(release: Release) {
    promtool(release, &["test", "rules", "test-alerts.yml"]);
}

fn the_alert_that_covers_a_week_fires_when_it_should_and_not_otherwise(release: Release) {
    promtool(release, &["test", "rules", "test-untagged.yml"]);
}

fn the_recording_rules_add_up_to_all_stores(release: Release) {
    promtool(release, &["test", "rules", "test-recording-rules.yml"]);
}

#[test]
fn each_alert_is_tested_in_both_directions() {
    let cases = text("tests/rules/alerts.yml") + &text("tests/rules/untagged.yml");
    let rules = text("packaging/prometheus/alerts.yml");
    assert_eq!(alerts(&rules).len(), 10);
    for name in alerts(&rules) {
        let fires = format!("alertname: {name}\n        exp_alerts:\n          - ");
        assert!(cases.contains(&fires), "{name} never fires");
        let silent = format!("alertname: {name}}}");
        assert!(cases.contains(&silent), "{name} is never silent");
    }
}

/// Names with a colon are those of recording rules.
#[test]
fn the_metrics_of_the_rules_are_those_of_a_scrape() {
    let scrape = text("tests/golden/metrics.txt");
    let rules =
        text("packaging/prometheus/alerts.yml") + &text("packaging/prometheus/recording-rules.yml");
    let words = rules.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | ':'));
    let metrics =
        words.filter(|word| word.starts_with("imagestore_") || word.starts_with("exp_rkt_grpc_"));
    let metrics: BTreeSet<&str> = metrics.collect();
    assert!(metrics.len() > 8, "{metrics:?}");
    for metric in metrics {
        assert!(scrape.contains(&format!("# TYPE {metric} ")), "{metric}");
    }
}

#[test]
fn the_runbook_of_each_alert_is_a_heading_with_a_next_command() {
    let rules = text("packaging/prometheus/alerts.yml");
    let page = pages()
        .into_iter()
        .find(|page| page.name == "docs/alerts.md");
    let page = page.expect("the page exists").text;
    for (alert, rule) in alerts(&rules)
        .into_iter()
        .zip(rules.split("- alert: ").skip(1))
    {
        let anchor = alert.to_lowercase();
        let url = format!("runbook_url: file:///usr/share/doc/exp-rkt-grpc/alerts.md#{anchor}\n");
        assert!(rule.contains(&url), "{alert}: no {url}");
        let section = page
            .split("\n## ")
            .find_map(|part| part.strip_prefix(alert)?.strip_prefix('\n'));
        let section = section.unwrap_or_else(|| panic!("no section {alert}"));
        assert!(
            section.contains("```console host\n# "),
            "{alert}: no command"
        );
    }
    let sections = page.lines().filter(|line| line.starts_with("## ")).count();
    assert_eq!(sections, alerts(&rules).len());
}

/// With the files that the configurations name.
fn the_scrape_configurations_are_valid(release: Release) {
    let folder = files();
    let names = fs::read_dir(folder.path()).expect("the folder can be listed");
    let names = names.map(|file| file.expect("the folder can be listed").file_name());
    let names = names.map(|name| name.into_string().expect("the name is UTF-8"));
    let names: Vec<String> = names.filter(|name| name.starts_with("scrape-")).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    for name in names {
        succeed(release, &folder, &["check", "config", &name]);
    }
}

/// promtool accepts a list of hosts that does not exist, but not one that is malformed.
fn the_list_of_hosts_is_the_one_that_the_configuration_reads(release: Release) {
    let folder = files();
    let list = folder.path().join("exp-rkt-grpc-targets.yml");
    fs::write(list, "- target: []\n").expect("the copy can be written");
    let refused = run(release, &folder, &["check", "config", "scrape-hosts.yml"]);
    let refused = refused.expect_err("promtool does not read the list");
    assert!(refused.contains("exp-rkt-grpc-targets.yml"), "{refused}");
}

#[test]
fn both_socket_labels_have_the_path_of_the_example_drop_in() {
    let drop_in = text("systemd/examples/unix-socket.conf");
    let path = drop_in
        .lines()
        .find_map(|line| line.strip_prefix("ListenStream=/"));
    let path = path.expect("the drop-in has a socket");
    for (file, label) in [
        ("scrape-unix-socket.yml", "__unix_socket__"),
        (
            "scrape-unix-socket-victoriametrics.yml",
            "__vm_unix_socket__",
        ),
    ] {
        let configuration = text(&format!("packaging/prometheus/{file}"));
        assert!(
            configuration.contains(&format!("{label}: /{path}\n")),
            "{file}"
        );
    }
}

fn the_scrape_configurations_of_the_documentation_are_valid(release: Release) {
    let page = pages()
        .into_iter()
        .find(|page| page.name == "docs/scraping.md");
    let blocks = page.expect("the page exists").blocks();
    let blocks = blocks
        .iter()
        .filter(|block| block.text.starts_with("scrape_configs:"));
    let configurations: Vec<_> = blocks.collect();
    assert_eq!(configurations.len(), 2, "{configurations:?}");
    let folder = tempdir().expect("a temporary folder can be made");
    for configuration in configurations {
        fs::write(folder.path().join("prometheus.yml"), &configuration.text)
            .expect("a fresh folder can be written");
        succeed(
            release,
            &folder,
            &["check", "config", "--syntax-only", "prometheus.yml"],
        );
    }
}
