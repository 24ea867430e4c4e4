//! The side calls for the runtime's version and its file systems, and that the images are counted even if these calls fail.

use std::time::Duration;

use lab::cri_runtime::v1::{self, FilesystemUsage};
use lab::cri_runtime::{Behaviour, Images, Method, StandIn, filesystem};
use lab::exposition::Scrape;
use lab::service::PATIENCE;
use tonic::Status;

use super::{Scene, number, program};

/// The runtime's name and version; `None` if they are absent.
fn runtime(scrape: &Scrape) -> Option<(String, String)> {
    let mut infos = scrape.samples("imagestore_runtime_info");
    let info = infos.next()?;
    assert!(infos.next().is_none(), "one runtime at a time");
    assert_eq!(info.value, 1.0);
    Some((
        info.labels["runtime"].clone(),
        info.labels["version"].clone(),
    ))
}

fn used_bytes(scrape: &Scrape, mountpoint: &str) -> Option<f64> {
    let labels = [("store", "cri"), ("mountpoint", mountpoint)];
    scrape.value("imagestore_filesystem_used_bytes", &labels)
}

fn inodes_used(scrape: &Scrape, mountpoint: &str) -> Option<f64> {
    let labels = [("store", "cri"), ("mountpoint", mountpoint)];
    scrape.value("imagestore_filesystem_inodes_used", &labels)
}

/// The deadline is longer than the test's patience, so that calls that are given up are given up long before it.
fn scene() -> Scene {
    Scene::with(Images::generated(7), |builder| {
        builder.arg("--deadline").arg("10m")
    })
}

/// The scrape after a query of a runtime that behaves like this for these methods. Panics unless the images are counted.
#[track_caller]
fn scrape_with(methods: &[Method], behaviour: &Behaviour) -> Scrape {
    let scene = scene();
    for method in methods {
        scene.runtime.behave_for(*method, behaviour.clone());
    }
    let scrape = scene.ask();
    assert_eq!(number(&scrape, "imagestore_images"), Some(7.0));
    assert_eq!(number(&scrape, "imagestore_up"), Some(1.0));
    assert_eq!(scrape.sum("imagestore_query_failures_total"), Some(0.0));
    scrape
}

fn failing() -> Behaviour {
    Behaviour::Fail(Status::unknown("the plugin is broken"))
}

#[test]
fn exactly_the_file_systems_for_images_are_reported() {
    let scene = scene();
    let filesystems = vec![filesystem("/a", 1_000, 3), filesystem("/b", 0, 0)];
    scene.runtime.serve_filesystems(filesystems);
    let scrape = scene.ask();
    assert_eq!(used_bytes(&scrape, "/a"), Some(1_000.0));
    assert_eq!(inodes_used(&scrape, "/a"), Some(3.0));
    assert_eq!(used_bytes(&scrape, "/b"), Some(0.0));
    let reported = scrape.samples("imagestore_filesystem_used_bytes").count();
    assert_eq!(reported, 2);
}

/// Over TCP, the mount point may be that of another host. /proc exists everywhere, and its size is 0.
#[test]
fn file_systems_are_measured_for_stores_at_unix_sockets_only() {
    let over_unix = scene();
    let over_tcp = StandIn::tcp(Images::generated(3));
    for runtime in [&over_unix.runtime, &over_tcp] {
        runtime.serve_filesystems(vec![filesystem("/proc", 5, 1)]);
    }
    let service = program().store(over_tcp.url()).start();
    service.query();
    for (scrape, size) in [(over_unix.ask(), Some(0.0)), (service.scrape(), None)] {
        let labels = [("store", "cri"), ("mountpoint", "/proc")];
        assert_eq!(used_bytes(&scrape, "/proc"), Some(5.0));
        for family in [
            "imagestore_filesystem_size_bytes",
            "imagestore_filesystem_avail_bytes",
        ] {
            assert_eq!(scrape.value(family, &labels), size, "{family}");
        }
    }
}

#[test]
fn a_file_system_that_is_gone_disappears() {
    let scene = scene();
    scene.ask();
    scene
        .runtime
        .serve_filesystems(vec![filesystem("/new", 1, 1)]);
    let scrape = scene.ask();
    assert_eq!(used_bytes(&scrape, "/var/lib/stand-in"), None);
    assert_eq!(used_bytes(&scrape, "/new"), Some(1.0));
}

#[test]
fn values_that_a_file_system_does_not_report_are_absent() {
    let scene = scene();
    let without_inodes = FilesystemUsage {
        inodes_used: None,
        ..filesystem("/a", 5, 0)
    };
    scene.runtime.serve_filesystems(vec![without_inodes]);
    let scrape = scene.ask();
    assert_eq!(used_bytes(&scrape, "/a"), Some(5.0));
    assert_eq!(inodes_used(&scrape, "/a"), None);
}

#[test]
fn file_systems_with_the_same_mountpoint_are_added_up() {
    let scene = scene();
    let without = |inodes_used| FilesystemUsage {
        inodes_used,
        used_bytes: None,
        ..filesystem("/a", 0, 0)
    };
    scene.runtime.serve_filesystems(vec![
        filesystem("/a", 1_000, 3),
        filesystem("/b", 7, 1),
        without(Some(v1::UInt64Value { value: 4 })),
        filesystem("/a", 50, 1),
        without(None),
    ]);
    let scrape = scene.ask();
    assert_eq!(used_bytes(&scrape, "/a"), Some(1_050.0));
    assert_eq!(inodes_used(&scrape, "/a"), Some(8.0));
    assert_eq!(used_bytes(&scrape, "/b"), Some(7.0));
}

#[test]
fn mountpoints_that_are_equal_after_truncation_are_added_up() {
    let scene = scene();
    let long = |end: char| filesystem(&format!("/{}{end}", "a".repeat(300)), 10, 1);
    let filesystems = vec![long('b'), long('c')];
    scene.runtime.serve_filesystems(filesystems);
    let scrape = scene.ask();
    let mut reported = scrape.samples("imagestore_filesystem_used_bytes");
    assert_eq!(reported.next().map(|sample| sample.value), Some(20.0));
    assert!(reported.next().is_none());
}

#[test]
fn a_file_system_without_a_mountpoint_is_reported_as_none() {
    let scene = scene();
    let nowhere = FilesystemUsage {
        fs_id: None,
        ..filesystem("", 5, 1)
    };
    scene.runtime.serve_filesystems(vec![nowhere]);
    assert_eq!(used_bytes(&scene.ask(), "(none)"), Some(5.0));
}

#[test]
fn at_most_sixteen_file_systems_are_reported() {
    let scene = scene();
    let filesystems = (0..1_000).map(|number| filesystem(&format!("/{number}"), 1, 1));
    scene.runtime.serve_filesystems(filesystems.collect());
    let scrape = scene.ask();
    let reported = scrape.samples("imagestore_filesystem_used_bytes").count();
    assert_eq!(reported, 16);
}

#[test]
fn a_version_of_10_kilobytes_is_truncated() {
    let scene = scene();
    scene.runtime.serve_version("stand-in", &"1".repeat(10_000));
    let (_, version) = runtime(&scene.ask()).expect("the runtime is reported");
    assert_eq!(version.len(), 256);
}

#[test]
fn a_version_of_100_kilobytes_is_ignored_and_the_images_are_counted() {
    let scene = scene();
    scene
        .runtime
        .serve_version("stand-in", &"1".repeat(100_000));
    let scrape = scene.ask();
    assert_eq!(runtime(&scrape), None);
    assert_eq!(number(&scrape, "imagestore_images"), Some(7.0));
}

#[test]
fn the_images_of_a_runtime_without_version_are_counted() {
    let scene = scene();
    scene.runtime.without(Method::Version);
    let scrape = scene.ask();
    assert_eq!(number(&scrape, "imagestore_images"), Some(7.0));
    assert_eq!(runtime(&scrape), None);
    assert_eq!(used_bytes(&scrape, "/var/lib/stand-in"), Some(4096.0));
}

#[test]
fn the_images_of_a_runtime_without_image_fs_info_are_counted() {
    let scene = scene();
    scene.runtime.without(Method::ImageFsInfo);
    let scrape = scene.ask();
    assert_eq!(number(&scrape, "imagestore_images"), Some(7.0));
    assert!(runtime(&scrape).is_some());
    assert_eq!(used_bytes(&scrape, "/var/lib/stand-in"), None);
}

#[test]
fn a_failed_version_call_affects_only_the_version() {
    let scrape = scrape_with(&[Method::Version], &failing());
    assert_eq!(runtime(&scrape), None);
    assert_eq!(used_bytes(&scrape, "/var/lib/stand-in"), Some(4096.0));
}

#[test]
fn a_failed_image_fs_info_call_affects_only_the_file_systems() {
    let scrape = scrape_with(&[Method::ImageFsInfo], &failing());
    assert!(runtime(&scrape).is_some());
    assert_eq!(used_bytes(&scrape, "/var/lib/stand-in"), None);
}

#[test]
fn after_a_side_call_has_failed_its_earlier_values_are_absent() {
    let scene = scene();
    scene.ask();
    scene.runtime.behave_for(Method::Version, failing());
    scene.runtime.behave_for(Method::ImageFsInfo, failing());
    let scrape = scene.ask();
    assert_eq!(runtime(&scrape), None);
    assert_eq!(used_bytes(&scrape, "/var/lib/stand-in"), None);
    assert_eq!(inodes_used(&scrape, "/var/lib/stand-in"), None);
}

/// The scrape after a second query, in which this method has no answer and the others have new ones.
#[track_caller]
fn scrape_without(method: Method, refuse: impl FnOnce(&Scene)) -> Scrape {
    let scene = scene();
    scene.ask();
    scene.runtime.serve_version("stand-in", "2.0.0");
    let filesystems = vec![filesystem("/var/lib/stand-in", 1, 2)];
    scene.runtime.serve_filesystems(filesystems);
    refuse(&scene);
    let scrape = scene.ask();
    assert_eq!(number(&scrape, "imagestore_up"), Some(1.0), "{method:?}");
    scrape
}

#[test]
fn if_one_side_call_fails_its_values_are_absent_and_the_others_are_new() {
    let version = |scrape: &Scrape| runtime(scrape).map(|(_, version)| version);
    let used = |scrape: &Scrape| used_bytes(scrape, "/var/lib/stand-in");
    for fails in [true, false] {
        let without = |method| {
            scrape_without(method, |scene| match fails {
                true => scene.runtime.behave_for(method, failing()),
                false => scene.runtime.without(method),
            })
        };
        let scrape = without(Method::Version);
        assert_eq!(version(&scrape), None);
        assert_eq!(used(&scrape), Some(1.0));
        let scrape = without(Method::ImageFsInfo);
        assert_eq!(version(&scrape).as_deref(), Some("2.0.0"));
        assert_eq!(used(&scrape), None);
        assert_eq!(inodes_used(&scrape, "/var/lib/stand-in"), None);
    }
}

#[test]
fn if_the_list_fails_the_values_of_the_side_calls_stay_with_the_last_good_numbers() {
    let scene = scene();
    let before = runtime(&scene.ask());
    assert!(before.is_some());
    scene.runtime.behave(failing());
    let scrape = scene.ask();
    assert_eq!(number(&scrape, "imagestore_up"), Some(0.0));
    assert_eq!(number(&scrape, "imagestore_images"), Some(7.0));
    assert_eq!(runtime(&scrape), before);
    assert_eq!(used_bytes(&scrape, "/var/lib/stand-in"), Some(4096.0));
}

#[test]
fn the_images_are_shown_before_the_side_calls_answer_without_older_values_of_these_calls() {
    let scene = scene();
    scene.ask();
    scene.runtime.serve_images(Images::generated(8));
    scene.runtime.behave_for(Method::Version, Behaviour::Hang);
    scene
        .runtime
        .behave_for(Method::ImageFsInfo, Behaviour::Hang);
    let side_calls = scene.runtime.calls().len() + 4;
    scene.service.trigger();
    // The list comes first: a runtime that is asked for its version has been counted.
    scene.runtime.wait_for_calls(side_calls, PATIENCE);
    let scrape = scene.service.scrape();
    assert_eq!(number(&scrape, "imagestore_images"), Some(8.0));
    assert_eq!(runtime(&scrape), None);
    assert_eq!(used_bytes(&scrape, "/var/lib/stand-in"), None);
    let log = scene
        .service
        .wait_for_stderr(|log| log.contains("side call failed"), PATIENCE);
    let counted = log
        .rfind("imagestore.images=8")
        .expect("the count is logged");
    assert!(Some(counted) < log.find("side call failed"), "{log}");
}

/// The log lines about this side call, each from its level on.
fn about(scene: &Scene, call: &str) -> Vec<String> {
    assert!(scene.service.stop().success());
    let log = scene.service.stderr();
    let lines = log
        .lines()
        .filter(|line| line.contains("side call") && line.contains(call));
    lines
        .filter_map(|line| Some(line.split_once(' ')?.1.trim_start().to_owned()))
        .collect()
}

#[test]
fn the_first_of_consecutive_failures_is_a_warning_and_the_recovery_an_info_line() {
    for refusal in [failing(), Method::Version.missing()] {
        let scene = scene();
        let version = |behaviour| scene.runtime.behave_for(Method::Version, behaviour);
        for _ in 0..2 {
            version(refusal.clone());
            scene.ask();
            // A list that fails in between does not end the series of failures.
            scene
                .runtime
                .behave_for(Method::StreamImages, Behaviour::Garbage);
            scene.ask();
            scene
                .runtime
                .behave_for(Method::StreamImages, Behaviour::Answer);
            scene.ask();
            version(Behaviour::Answer);
            scene.ask();
            scene.ask();
        }
        let lines = about(&scene, "RuntimeService/Version");
        let levels: Vec<&str> = lines
            .iter()
            .map(|line| line.split_once(' ').map_or("", |(level, _)| level))
            .collect();
        assert_eq!(levels, ["WARN", "INFO", "WARN", "INFO"], "{lines:#?}");
    }
}

#[test]
fn consecutive_failures_are_tracked_for_each_side_call_separately() {
    let scene = scene();
    scene.runtime.behave_for(Method::Version, failing());
    scene.ask();
    scene.runtime.behave_for(Method::ImageFsInfo, failing());
    scene.ask();
    assert_eq!(about(&scene, "ImageService/ImageFsInfo").len(), 1);
}

#[test]
fn garbage_from_side_calls_does_not_affect_the_images() {
    for behaviour in [Behaviour::Garbage, Behaviour::Lie, Behaviour::CutOff] {
        let scrape = scrape_with(&[Method::Version, Method::ImageFsInfo], &behaviour);
        assert_eq!(runtime(&scrape), None, "{behaviour:?}");
    }
}

#[test]
fn malformed_status_details_of_a_side_call_do_not_affect_the_images() {
    for (number, details) in [("5", "!!!"), ("0", "AB=="), ("5", "AA,AA"), ("0", "\u{ff}")] {
        let status = [
            ("grpc-status", number),
            ("grpc-status-details-bin", details),
        ];
        for behaviour in [Behaviour::head(&status), Behaviour::trailers(&status)] {
            scrape_with(&[Method::Version], &behaviour);
            scrape_with(&[Method::ImageFsInfo], &behaviour);
        }
    }
}

#[test]
fn side_calls_that_hang_are_given_up_long_before_the_deadline_and_the_images_are_counted() {
    // The runtime never answers these calls.
    let scrape = scrape_with(&[Method::Version, Method::ImageFsInfo], &Behaviour::Hang);
    assert_eq!(runtime(&scrape), None);
}

#[test]
fn side_calls_have_a_grpc_timeout_of_at_most_two_seconds() {
    let scene = scene();
    scene.ask();
    for call in scene.runtime.calls() {
        let timeout = call.header("grpc-timeout").expect("every call has one");
        let timeout = duration(timeout);
        let side_call = call.method() != Some(Method::StreamImages);
        assert_eq!(timeout <= Duration::from_secs(2), side_call, "{call}");
    }
}

/// A `grpc-timeout`: digits and a unit.
fn duration(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.len() - 1);
    let number: u64 = number.parse().expect("digits");
    match unit {
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => panic!("not a unit of grpc-timeout: {text}"),
    }
}
