//! README.md and docs/: links lead somewhere, and each command is run by a test or names what it needs.
//!
//! `tests/booted/documents.rs` runs the commands for a host.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lab::debian::{self, Suite};
use lab::documents::{Page, Place, pages, root};
use lab::service::run;

/// The commands for a checkout, and the files that run them or show their output.
const IN_A_CHECKOUT: [(&str, &str); 4] = [
    ("make demo", "tests/demo.rs"),
    ("make demo JAEGER=1", "tests/demo.rs"),
    ("make test", ".ci/run"),
    ("make bench", "benches/README.md"),
];

#[test]
fn every_block_of_commands_names_its_place() {
    for page in pages() {
        for block in page.blocks() {
            let commands = block.place != Place::None;
            let file = matches!(block.place, Place::Host(Some(_)));
            let place = format!("{}:{}", page.name, block.line);
            assert_eq!(block.has_commands(), commands && !file, "{place}");
        }
        let indented = page.prose().find(|line| line.starts_with("    "));
        assert_eq!(indented, None, "{}: a block without fences", page.name);
    }
}

#[test]
fn the_commands_for_a_checkout_are_known_and_run_elsewhere() {
    let blocks = pages().into_iter().flat_map(|page| page.blocks());
    let blocks = blocks.filter(|block| block.place == Place::Checkout);
    let commands = blocks.flat_map(|block| block.commands());
    let commands: BTreeSet<String> = commands
        .map(|command| {
            command
                .text
                .split(" # ")
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned()
        })
        .collect();
    let known = IN_A_CHECKOUT.map(|(command, _)| command.to_owned());
    assert_eq!(commands, BTreeSet::from(known));
    for (command, file) in IN_A_CHECKOUT {
        let text = fs::read_to_string(root().join(file)).expect("the file is text");
        assert!(text.contains(command), "{file}: no {command}");
    }
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_exist() {
    let pages = pages();
    let mut links = 0;
    for page in &pages {
        for link in page.prose().flat_map(targets) {
            if link.contains("://") {
                continue;
            }
            links += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let folder = root().join(&page.name);
            let folder = folder.parent().expect("a page is in a folder");
            let target = match file {
                "" => root().join(&page.name),
                file => folder.join(file),
            };
            assert!(target.exists(), "{}: {link}", page.name);
            if !heading.is_empty() {
                let text = fs::read_to_string(&target).expect("headings are in a page");
                let there = Page {
                    name: file.to_owned(),
                    text,
                };
                let found = there.prose().filter(|line| line.starts_with('#'));
                let mut found = found.map(anchor);
                assert!(found.any(|found| found == heading), "{}: {link}", page.name);
            }
        }
    }
    assert!(links > 10, "{links} links");
}

#[test]
fn the_readme_has_at_most_140_lines() {
    let readme = pages().into_iter().find(|page| page.name == "README.md");
    let lines = readme.map(|page: Page| page.text.lines().count());
    assert!(lines.is_some_and(|lines| lines <= 140), "{lines:?} lines");
}

/// The version of a peer's module, without its `v`.
fn version_of_peer(peer: &str, module: &str) -> String {
    let requirements = root().join("tests/peers").join(peer).join("go.mod");
    let requirements = fs::read_to_string(requirements).expect("a peer has a go.mod");
    let mut required = requirements.lines().map(str::split_whitespace);
    let version = required.find_map(|mut words| {
        words.next().filter(|required| *required == module)?;
        words.next()?.strip_prefix('v')
    });
    version.expect("the peer's module is required").to_owned()
}

/// The upstream version of a package that is installed below this root.
fn version_in_debian(root: &Path, package: &str) -> String {
    let folder = root.join("var/lib/dpkg");
    let query = [
        &format!("--admindir={}", folder.display()),
        "--showformat=${source:Upstream-Version}",
        "--show",
        package,
    ];
    let output = run("dpkg-query", query, &[]);
    String::from_utf8(output.stdout).expect("a version is text")
}

/// The text names a product in the version of a package: 252 for 252.39, but not for 2520.
#[track_caller]
fn assert_names(text: &str, product: &str, version: &str) {
    let after = text.split(&format!("{product} ")).nth(1);
    let named = after.and_then(|text| text.split([' ', ',', ')']).next());
    let rest = named.and_then(|named| version.strip_prefix(named));
    let found = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '~', '+']));
    assert!(found, "{product} {version}: {text}");
}

#[test]
fn the_versions_that_the_readme_was_tested_with_are_those_of_the_tests() {
    let readme = fs::read_to_string(root().join("README.md")).expect("it is text");
    let (_, tested) = readme
        .split_once("\nTested on ")
        .expect("the README has the versions");
    let tested = tested.replace('\n', " ");
    let (_, others) = tested.split_once("), with ").expect("the peers follow");
    let containerd = version_of_peer("containerd", "github.com/containerd/containerd/v2");
    assert_names(others, "containerd", &containerd);
    // Its module's version 0.316.0 is Prometheus 3.16.0.
    let prometheus = version_of_peer("prometheus", "github.com/prometheus/prometheus");
    let prometheus = prometheus.replacen("0.3", "3.", 1);
    assert_names(others, "Prometheus", &prometheus);
    let jaeger = version_of_peer("jaeger", "github.com/jaegertracing/jaeger");
    assert!(
        others.contains(&format!("(v{jaeger})")),
        "no {jaeger}: {others}"
    );
    // The emulator is this host's.
    let host = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if host.contains("VERSION_ID=\"12\"") {
        assert_names(
            others,
            "qemu-user",
            &version_in_debian(Path::new("/"), "qemu-user-static"),
        );
    }
    for (suite, name) in [(Suite::Bookworm, "Debian 12"), (Suite::Trixie, "Debian 13")] {
        let of_suite = tested.split(&format!("{name} (")).nth(1);
        let of_suite = of_suite.and_then(|text| text.split(')').next());
        let of_suite = of_suite.expect("the suite has versions");
        let Some(root) = debian::root(suite) else {
            return;
        };
        for (product, package) in [
            ("systemd", "systemd"),
            ("containerd", "containerd"),
            ("Prometheus", "prometheus"),
        ] {
            assert_names(of_suite, product, &version_in_debian(root, package));
        }
    }
}

/// The targets of a line's links.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let behind = line.split("](").skip(1);
    behind.filter_map(|text| text.split(')').next())
}

/// The anchor of a heading as GitHub makes it.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
