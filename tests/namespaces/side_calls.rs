//! The side calls for the version and the namespaces: their failure changes no other number.

use lab::containerd_api::{Behaviour, Method, Names};
use tonic::Status;

use super::stand_in::{STORE, Scene};
use super::{counts, number};

/// Broken side calls. The last one is given up after two seconds.
fn broken() -> [Behaviour; 4] {
    [
        Behaviour::Fail(Status::permission_denied("no")),
        Behaviour::Garbage,
        Behaviour::CutOff,
        Behaviour::Hang,
    ]
}

/// The service warns of the failed call, but not of the namespace.
#[track_caller]
fn assert_logged(scene: &Scene, call: &str) {
    scene.service.stop();
    let log = scene.service.stderr();
    let mut warnings = log.lines().filter(|line| line.contains("WARN"));
    let warning = warnings.next().expect("a warning");
    assert!(
        warning.contains("side call failed") && warning.contains(call),
        "{log}"
    );
    assert_eq!(warnings.next(), None, "{log}");
}

#[test]
fn a_failed_call_for_the_version_changes_no_other_number() {
    for behaviour in broken() {
        let scene = Scene::of(Names::generated(7));
        let (_, before) = scene.ask();
        assert!(before.sum("imagestore_runtime_info").is_some());
        scene.stand_in.serve_names("moby", Names::generated(8));
        scene
            .stand_in
            .behave_for(Method::Version, behaviour.clone());
        let (status, scrape) = scene.ask();
        assert!(status.contains("containerd: 8 images, "), "{status}");
        assert!(!status.contains("warning"), "{status}");
        assert_eq!(number(&scrape, STORE, "imagestore_up"), Some(1.0));
        assert_eq!(counts(&scrape, STORE), [Some(8.0), Some(8.0), Some(0.0)]);
        assert_eq!(scrape.sum("imagestore_runtime_info"), None, "{behaviour:?}");
        assert_logged(&scene, "Version/Version");
    }
}

#[test]
fn without_an_answer_about_the_namespaces_nothing_is_said_about_them() {
    for behaviour in broken() {
        let scene = Scene::in_namespace("mobby", Names::generated(7));
        scene.stand_in.behave_for(Method::Namespaces, behaviour);
        let (status, scrape) = scene.ask();
        assert!(status.contains("containerd: 0 images, "), "{status}");
        assert!(!status.contains("warning"), "{status}");
        assert_eq!(number(&scrape, STORE, "imagestore_up"), Some(1.0));
        assert_eq!(counts(&scrape, STORE), [Some(0.0), Some(0.0), Some(0.0)]);
        assert!(scrape.sum("imagestore_runtime_info").is_some());
        assert_logged(&scene, "Namespaces/List");
    }
}

#[test]
fn of_many_namespaces_the_warning_names_some() {
    let scene = Scene::in_namespace("mobby", Names::generated(7));
    for number in 0..500 {
        let name = format!("n{number:03}");
        scene.stand_in.serve_names(&name, Names::generated(0));
    }
    let (status, _) = scene.ask();
    assert!(
        status.contains("containerd has moby, n000, n001, "),
        "{status}"
    );
    assert!(status.contains(", n014, 485 more)"), "{status}");
}

#[test]
fn the_names_of_namespaces_are_escaped_and_truncated() {
    let scene = Scene::in_namespace("mobby", Names::generated(7));
    let long = "b".repeat(10_000);
    for name in ["a\u{1b}[31m\n", &long] {
        scene.stand_in.serve_names(name, Names::generated(0));
    }
    let (status, _) = scene.ask();
    let shown = format!(r"containerd has a\u{{1b}}[31m\n, {}, moby", "b".repeat(256));
    assert!(status.contains(&shown), "{status}");
    scene.service.stop();
    let log = scene.service.stderr();
    assert!(log.contains("answered with a warning"), "{log}");
    assert!(
        !log.contains('\u{1b}') && !log.contains(&long[..257]),
        "{log}"
    );
}
