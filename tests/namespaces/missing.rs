//! A namespace that does not exist is listed as empty: the warning, and its absence.

use lab::containerd::{Containerd, Release};
use lab::service::{PATIENCE, run};
use serde_json::Value;

use super::{LIST_NAMESPACES, PROGRAM, Scene, images, number, url};

lab::with_both! {
    v2_4:
    a_missing_namespace_has_no_images_and_a_warning_names_those_that_exist,
    a_namespace_is_reported_as_missing_once_and_again_after_it_existed,
    an_empty_namespace_is_not_reported,
    a_containerd_without_any_namespace_says_so,
    the_query_command_prints_the_warning,
}

const WARNING: &str = "the namespace mobby does not exist; containerd has ";

fn a_missing_namespace_has_no_images_and_a_warning_names_those_that_exist(release: Release) {
    let scene = Scene::start(release, &["mobby", "moby"]);
    scene
        .containerd
        .import_into("moby", &images(&["quay.io/a:1"]));
    scene
        .containerd
        .import_into("default", &images(&["quay.io/b:1"]));
    let (status, scrape, trace) = scene.ask();
    let namespaces = scene
        .containerd
        .ctr_in("default", &["namespaces", "ls", "-q"]);
    let namespaces = namespaces.lines().collect::<Vec<_>>().join(", ");
    assert!(namespaces.contains("default, ") && namespaces.contains(", moby"));
    let warning = format!("{WARNING}{namespaces}");
    assert!(status.contains("mobby: 0 images, queried in "), "{status}");
    assert!(
        status.contains(&format!("(warning: {warning})")),
        "{status}"
    );
    assert!(status.contains("moby: 1 image, "), "{status}");
    assert_eq!(status.matches("warning").count(), 1, "{status}");
    let line = |line: &str| {
        line.contains("WARN")
            && line.contains("imagestore.store=\"mobby\"")
            && line.contains(&warning)
    };
    scene
        .service
        .wait_for_stderr(|log| log.lines().any(line), PATIENCE);
    let warnings = ["mobby", "moby"].map(|store| number(&scrape, store, "imagestore_warning"));
    assert_eq!(warnings, [Some(1.0), Some(0.0)]);
    // Only the store that has no images asks for the namespaces.
    let asked = trace.span(LIST_NAMESPACES);
    assert_eq!(asked.text("imagestore.store").as_deref(), Some("mobby"));
    scene.assert_counts();
}

fn a_namespace_is_reported_as_missing_once_and_again_after_it_existed(release: Release) {
    let containerd = Containerd::start_of(release);
    let scene = Scene::with(containerd, &["mobby"], |builder| {
        builder.arg("--log-level").arg("debug")
    });
    let ctr = |act| {
        scene
            .containerd
            .ctr_in("default", &["namespaces", act, "mobby"])
    };
    scene.assert_counts();
    scene.assert_counts();
    ctr("create");
    scene.assert_counts();
    ctr("rm");
    scene.assert_counts();
    scene.service.stop();
    let log = scene.service.stderr();
    let logged = log.lines().filter_map(|line| match line {
        _ if line.contains("images counted") => Some("counted"),
        _ if !line.contains(WARNING) => None,
        _ if line.contains(" WARN ") => Some("warning"),
        _ if line.contains("DEBUG ") => Some("debug"),
        _ => Some("other"),
    });
    let logged: Vec<&str> = logged.collect();
    let expected = "counted warning counted debug counted counted warning";
    assert_eq!(logged.join(" "), expected, "{log}");
}

fn an_empty_namespace_is_not_reported(release: Release) {
    let scene = Scene::start(release, &["default", "moby"]);
    let images = images(&["quay.io/a:1"]);
    scene.containerd.import_into("moby", &images);
    scene
        .containerd
        .ctr_in("moby", &["images", "rm", "--sync", "quay.io/a:1"]);
    scene
        .containerd
        .ctr_in("moby", &["namespaces", "create", "default"]);
    let (status, _, trace) = scene.ask();
    assert!(
        status.contains("default: 0 images, queried in "),
        "{status}"
    );
    assert!(status.contains("moby: 0 images, queried in "), "{status}");
    assert!(!status.contains("warning"), "{status}");
    assert_eq!(trace.spans_named(LIST_NAMESPACES).len(), 2);
    scene.assert_counts();
    scene.service.stop();
    let log = scene.service.stderr();
    assert!(!log.contains("WARN"), "{log}");
}

fn a_containerd_without_any_namespace_says_so(release: Release) {
    let scene = Scene::start(release, &["mobby"]);
    let (status, ..) = scene.ask();
    let namespaces = scene
        .containerd
        .ctr_in("default", &["namespaces", "ls", "-q"]);
    assert_eq!(namespaces, "");
    assert!(
        status.contains(&format!("{WARNING}no namespaces)")),
        "{status}"
    );
    scene.assert_counts();
}

fn the_query_command_prints_the_warning(release: Release) {
    let containerd = Containerd::start_of(release);
    containerd.import_into("moby", &images(&["quay.io/a:1"]));
    let query = |namespace: &str, output: &str| {
        let store = format!("docker={}", url(&containerd, namespace));
        let arguments = ["query", "--output", output, "--store", &store];
        let environment = [("OTEL_TRACES_EXPORTER", "none")];
        let output = run(PROGRAM, arguments, &environment);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("it is text"))
    };
    let [table, stderr] = query("mobby", "table");
    assert!(
        table.lines().any(|line| line.starts_with("docker ")),
        "{table}"
    );
    assert_eq!(
        stderr,
        format!("exp-rkt-grpc: warning: docker: {WARNING}moby\n")
    );
    let [json, _] = query("mobby", "json");
    let json: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(json["stores"][0]["warning"], format!("{WARNING}moby"));
    assert_eq!(json["stores"][0]["images"], 0);
    assert_eq!(json["stores"][0]["image_names"], 0);
    let [json, stderr] = query("moby", "json");
    let json: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(json["stores"][0]["warning"], Value::Null);
    assert_eq!(json["stores"][0]["images"], 1);
    assert_eq!(stderr, "");
}
