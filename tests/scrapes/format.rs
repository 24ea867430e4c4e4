//! The exposition as text: promtool accepts it without a warning, and it equals the golden file.
//!
//! The golden file is `tests/golden/metrics.txt`. After an intended change of a name, a HELP text, a type or a label, update it
//! with `UPDATE_GOLDEN=1 cargo test --test scrapes golden`, and review the difference.

use std::env;
use std::process::{Output, Stdio};

use lab::containerd_api::{self, Names};
use lab::cri_runtime::{self, filesystem};
use lab::prometheus::Release;
use lab::rkt_api_service::v1alpha::Image;
use lab::{TempDir, tempdir};

use super::*;

lab::with_both! {
    v3:
    promtool_prints_no_warning_after_a_query,
    promtool_prints_no_warning_before_the_first_query,
    promtool_warns_about_a_family_without_help,
}

/// A runtime at a Unix socket that uses `word` in its registry, name, version and mountpoint.
pub(super) fn runtime(word: &str) -> (TempDir, cri_runtime::StandIn) {
    use cri_runtime::{Image, Images, StandIn};
    let images = [
        Image::tagged(format!("{word}.example.org/a:1")).pinned(),
        Image::tagged("docker.io/library/b:1"),
        Image::with_digest("quay.io/c@sha256:00"),
        Image::untagged(),
    ];
    let folder = tempdir().expect("a temporary folder can be made");
    let runtime = StandIn::unix(&folder.path().join("cri.sock"), Images::listed(images));
    let runtime = runtime.expect("a socket can be bound there");
    runtime.serve_version(word, word);
    runtime.serve_filesystems(vec![filesystem(&format!("/{word}"), 4096, 16)]);
    (folder, runtime)
}

#[test]
fn the_exposition_equals_the_golden_file_except_for_values_that_vary() {
    let stand_in = StandIn::tcp(fixed_images());
    let (folder, runtime) = runtime("containerd");
    // A mount point that every service can see; its size is 0.
    runtime.serve_filesystems(vec![filesystem("/proc", 4096, 16)]);
    let names = Names::made(4, |ordinal| {
        containerd_api::image(&format!("docker.io/library/a:{ordinal}"), ordinal % 3)
    });
    let docker = folder.path().join("docker.sock");
    let docker =
        containerd_api::StandIn::unix(&docker, names).expect("a socket can be bound there");
    let service = service()
        .store(stand_in.url())
        .store(runtime.url())
        .store(format!("docker={}", docker.url_of("moby")))
        .start();
    let folder = folder.path().display().to_string();
    service.get("/-/ready");
    assert!(service.query().contains("rkt: 3 images"));
    let port = format!(":{}\"", stand_in.address().port());
    let exposition = service.get("/metrics").text().replace(&port, ":_\"");
    let masked = mask(&exposition.replace(&folder, "/_"));
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/metrics.txt");
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &masked).expect("the golden file can be written");
    }
    let golden = fs::read_to_string(&golden).expect("the golden file exists");
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (expected, found) = (lines(&golden), lines(&masked));
    assert!(
        masked == golden,
        "missing: {:#?}\nunexpected: {:#?}\nsee the head of tests/scrapes/format.rs for how to accept this",
        expected.difference(&found).collect::<Vec<_>>(),
        found.difference(&expected).collect::<Vec<_>>()
    );
}

#[test]
fn the_golden_exposition_has_every_family_of_the_table() {
    let table = include_str!("../../src/metrics/families.rs").split('"');
    let names = table.filter(|text| text.starts_with("imagestore_"));
    let names: Vec<&str> = names.filter(|name| !name.contains(' ')).collect();
    assert!(names.len() >= 14, "{names:?}");
    for name in names {
        let declared = format!("# TYPE {name} gauge\n");
        assert!(
            include_str!("../golden/metrics.txt").contains(&declared),
            "{name}"
        );
    }
}

fn fixed_images() -> Images {
    let image = |name: &str, size, import_timestamp| Image {
        id: format!("sha512-{:0>64}", import_timestamp),
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        import_timestamp,
        size,
        ..Image::default()
    };
    Images::Listed(vec![
        image("example.com/first", 1_000_000, 1_500_000_000),
        image("example.com/second", 20_000, 1_600_000_000),
        image("quay.io/third", 300, 1_400_000_000),
    ])
}

/// Replaces values that differ between runs and builds with `_`.
fn mask(exposition: &str) -> String {
    exposition
        .lines()
        .map(|line| mask_line(line) + "\n")
        .collect()
}

fn mask_line(line: &str) -> String {
    const VARYING: [&str; 5] = [
        "process_",
        "imagestore_query_duration_seconds_bucket",
        "imagestore_query_duration_seconds_sum",
        "imagestore_last_query_timestamp_seconds",
        "imagestore_last_success_timestamp_seconds",
    ];
    let (series, value) = line.rsplit_once(' ').expect("every line has a blank");
    if series.starts_with("exp_rkt_grpc_build_info{") {
        let masked = series.split('"').enumerate();
        let masked: Vec<_> = masked
            .map(|(index, part)| if index % 2 == 1 { "_" } else { part })
            .collect();
        return format!("{} {value}", masked.join("\""));
    }
    // The bucket +Inf counts every query, however long it took.
    if VARYING.iter().any(|name| series.starts_with(name)) && !series.contains("+Inf") {
        return format!("{series} _");
    }
    line.to_owned()
}

fn promtool_prints_no_warning_before_the_first_query(release: Release) {
    assert_promtool_accepts(release, &service().start());
}

/// One of several stores fails, and the runtime's text has to be escaped.
fn promtool_prints_no_warning_after_a_query(release: Release) {
    const WORD: &str = "a\"b\\c\nd}e,f=ä";
    let stand_in = StandIn::tcp(Images::generated(3));
    let (_folder, runtime) = runtime(WORD);
    let dead = ReservedPort::reserve();
    let service = service()
        .store(stand_in.url())
        .store(runtime.url())
        .store(format!("dead=rkt+http://{}", dead.address()))
        .start();
    let status = service.query();
    assert!(status.contains("cri: 4 images"), "{status}");
    assert_promtool_accepts(release, &service);
    assert_eq!(service.scrape().sum("imagestore_up"), Some(2.0));
    let scrape = service.get("/metrics").text().to_owned();
    assert!(scrape.contains(r#"a\"b"#), "{scrape}");
}

fn promtool_warns_about_a_family_without_help(release: Release) {
    let output = check(release, "# TYPE images gauge\nimages 1\n");
    assert!(!output.status.success() && !output.stderr.is_empty());
}

#[track_caller]
fn assert_promtool_accepts(release: Release, service: &Service) {
    let output = check(release, service.get("/metrics").text());
    let printed = [output.stdout, output.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&printed), "");
    assert!(output.status.success(), "{}", output.status);
}

/// `promtool check metrics`, the linter.
fn check(release: Release, exposition: &str) -> Output {
    let mut promtool = release
        .promtool()
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is missing: run tests/setup, or install Debian's package prometheus");
    let mut stdin = promtool.stdin.take().expect("standard input is piped");
    stdin
        .write_all(exposition.as_bytes())
        .expect("promtool reads it all");
    drop(stdin);
    promtool
        .wait_with_output()
        .expect("promtool is a child of this process")
}
