//! How gRPC statuses are interpreted, including malformed ones.

use lab::rkt_api_service::{Behaviour, Images, Language, Method, StandIn};
use lab::service::PATIENCE;
use tonic::Status;

use super::{Scene, failures_of, images, program};

/// The status text after a query of a store that behaves like this. The failure is counted under `code`.
#[track_caller]
fn status_after(scene: &Scene, behaviour: Behaviour, code: &str) -> String {
    let before = failures_of(&scene.service.scrape(), code).unwrap_or_default();
    scene.store.behave(behaviour);
    let status = scene.service.query();
    let after = failures_of(&scene.service.scrape(), code);
    assert_eq!(after, Some(before + 1.0), "{code}: {status}");
    status
}

/// Both ways to fail with this text: in the headers, and after a list.
fn failing(message: &str) -> [Behaviour; 2] {
    let status = Status::not_found(message);
    [
        Behaviour::Fail(status.clone()),
        Behaviour::FailAfterBody(status),
    ]
}

/// A status of these fields in both places: in the headers, and after a list.
fn both(status: &[(&'static str, &str)]) -> [Behaviour; 2] {
    [Behaviour::head(status), Behaviour::trailers(status)]
}

#[test]
fn a_long_status_text_keeps_its_code_and_its_beginning() {
    let scene = Scene::set();
    // Each of the two-byte letters is six bytes on the wire.
    for text in ["x".repeat(17_000), "ä".repeat(17_000), "x".repeat(900_000)] {
        for behaviour in failing(&format!("the disk is gone: {text}")) {
            let before = scene.service.stderr().len();
            status_after(&scene, behaviour, "NOT_FOUND");
            // The status that systemd shows is shorter.
            let expected = format!(
                "code=\"NOT_FOUND\" error=the disk is gone: {}",
                &text[..900]
            );
            let whole = |line: &str| line.contains(&expected) && line.ends_with('\n');
            let log = scene
                .service
                .wait_for_stderr(|log| whole(&log[before..]), PATIENCE);
            let line = &log[before..];
            assert!(line.contains("… [cut]"), "{line}");
            assert!(!line.contains('\u{fffd}'), "{line}");
        }
    }
}

#[test]
fn the_error_for_a_status_text_beyond_the_limit_names_its_length() {
    const WHY: &str = "longer than the 1048576 bytes that are read of them";
    let scene = Scene::set();
    for (length, code_of_trailers) in [
        // The code comes first, so that it is still read.
        (1_100_000, "NOT_FOUND"),
        (3_000_000, "RESOURCE_EXHAUSTED"),
        (6_000_000, "RESOURCE_EXHAUSTED"),
    ] {
        let codes = ["RESOURCE_EXHAUSTED", code_of_trailers];
        for (behaviour, code) in failing(&"x".repeat(length)).into_iter().zip(codes) {
            let status = status_after(&scene, behaviour, code);
            assert!(status.contains(WHY), "{length}: {status}");
        }
    }
}

#[test]
fn malformed_percent_encoding_in_a_status_text_is_shown_unchanged() {
    let scene = Scene::set();
    for (encoded, text) in [
        ("disk%20gone", "disk gone"),
        ("%ff%fe", "\u{fffd}\u{fffd}"),
        ("100% gone%zz%4", "100% gone%zz%4"),
        ("%E2%82%ac", "€"),
    ] {
        let status = [("grpc-status", "5"), ("grpc-message", encoded)];
        let expected = format!("NOT_FOUND: {text}");
        for behaviour in both(&status) {
            let status = status_after(&scene, behaviour, "NOT_FOUND");
            assert!(status.ends_with(&expected), "{encoded}: {status}");
        }
    }
}

/// Invalid values of `grpc-status-details-bin`: not base64, with bits left over, two values, not ASCII.
const BROKEN_DETAILS: [&str; 4] = ["!!!", "AB==", "AA,AA", "\u{ff}\u{fe}"];

#[test]
fn the_details_of_a_status_are_not_read() {
    let scene = Scene::set();
    for details in BROKEN_DETAILS {
        let status = [
            ("grpc-status", "5"),
            ("grpc-message", "gone"),
            ("grpc-status-details-bin", details),
        ];
        for behaviour in both(&status) {
            let status = status_after(&scene, behaviour.clone(), "NOT_FOUND");
            assert!(status.ends_with("NOT_FOUND: gone"), "{status}");
            // The details of a side call's status are not read either.
            scene.store.behave(Behaviour::Answer);
            scene.store.behave_for(Method::GetInfo, behaviour);
            assert!(images(&scene.query()).is_some());
        }
    }
    assert!(!scene.service.stderr().contains("panicked"));
}

#[test]
fn other_fields_of_an_ok_status_are_not_read() {
    let scene = Scene::set();
    for beside in BROKEN_DETAILS {
        for field in ["grpc-status-details-bin", "grpc-message"] {
            let status = [("grpc-status", "0"), (field, beside)];
            scene.store.behave(Behaviour::trailers(&status));
            let scrape = scene.query();
            assert_eq!(super::value(&scrape, "imagestore_up"), Some(1.0));
        }
    }
    let status = [("grpc-status", "0"), ("grpc-message", "%ff%fe")];
    scene.store.behave(Behaviour::trailers(&status));
    let scrape = scene.query();
    assert_eq!(super::value(&scrape, "imagestore_up"), Some(1.0));
    assert!(!scene.service.stderr().contains("panicked"));
}

#[test]
fn a_status_without_a_text_is_reported_as_such() {
    let scene = Scene::set();
    for behaviour in [
        Behaviour::head(&[("grpc-status", "5")]),
        Behaviour::head(&[("grpc-status", "5"), ("grpc-message", "")]),
    ] {
        let status = status_after(&scene, behaviour, "NOT_FOUND");
        assert!(status.ends_with("NOT_FOUND: no reason given"), "{status}");
    }
}

#[test]
fn an_invalid_status_code_is_shown_and_counted_as_unknown() {
    let scene = Scene::set();
    for number in ["17", "99999999999", "-1", "five"] {
        let status = [("grpc-status", number), ("grpc-message", "gone")];
        for behaviour in both(&status) {
            let status = status_after(&scene, behaviour, "UNKNOWN");
            let expected = format!("UNKNOWN: {number:?} is not a gRPC status: gone");
            assert!(status.ends_with(&expected), "{status}");
        }
    }
}

#[test]
fn content_types_that_only_resemble_grpc_are_not_accepted() {
    let scene = Scene::set();
    for name in [
        "application/grpc-web",
        "application/grpc-web+proto",
        "application/grpcfoo",
        "application/grp",
        "text/plain",
    ] {
        let why = format!("the answer is not gRPC: its content-type is \"{name}\"");
        let status = status_after(&scene, Behaviour::ContentType(name.to_owned()), "UNKNOWN");
        assert!(status.contains(&why), "{status}");
        let error = Behaviour::head(&[("content-type", name), ("grpc-status", "5")]);
        let status = status_after(&scene, error, "UNKNOWN");
        assert!(status.contains(&why), "{status}");
    }
    for name in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc;charset=utf-8",
        "Application/gRPC",
    ] {
        scene.store.behave(Behaviour::ContentType(name.to_owned()));
        assert!(images(&scene.query()).is_some(), "{name}");
        assert_eq!(super::value(&scene.query(), "imagestore_up"), Some(1.0));
    }
}

#[test]
fn headers_that_http_2_forbids_are_reported_as_an_invalid_answer_and_not_as_a_reset() {
    let scene = Scene::set();
    let behaviour = Behaviour::head(&[("grpc-status", "5"), ("content-length", "7")]);
    let status = status_after(&scene, behaviour, "INTERNAL");
    let why = "the answer breaks HTTP/2: PROTOCOL_ERROR";
    assert!(status.contains(why), "{status}");
}

#[test]
fn a_goaway_is_reported_with_the_stores_code_and_text() {
    for (language, words) in [
        (Language::Goaway, "GOAWAY with ENHANCE_YOUR_CALM"),
        (
            Language::Pings,
            "GOAWAY with ENHANCE_YOUR_CALM, \"too_many_pings\"",
        ),
        (
            Language::Shutdown,
            "GOAWAY with NO_ERROR, \"graceful_stop\"",
        ),
    ] {
        let scene = Scene::set();
        let why = format!("UNAVAILABLE: the connection was closed by the store: {words}");
        for _ in 0..3 {
            let status = status_after(&scene, Behaviour::Speak(language), "UNAVAILABLE");
            assert!(status.ends_with(&why), "{language:?}: {status}");
        }
    }
}

#[test]
fn a_status_text_that_repeats_its_code_is_shown_without_the_repetition() {
    let scene = Scene::set();
    for message in [
        "UNAVAILABLE: gone",
        "rpc error: code = Unavailable desc = gone",
        "rpc error: code = Unavailable desc = rpc error: code = Unavailable desc = gone",
    ] {
        let behaviour = Behaviour::Fail(Status::unavailable(message));
        let status = status_after(&scene, behaviour, "UNAVAILABLE");
        assert_eq!(status, "rkt: query failed: UNAVAILABLE: gone");
    }
    // A different code in the text is kept.
    let message = "rpc error: code = NotFound desc = gone";
    let behaviour = Behaviour::Fail(Status::unavailable(message));
    let status = status_after(&scene, behaviour, "UNAVAILABLE");
    assert!(status.ends_with(message), "{status}");
}

#[test]
fn a_single_image_is_reported_in_the_singular() {
    let store = StandIn::tcp(Images::generated(1));
    let service = program().store(store.url()).start();
    let status = service.query();
    assert!(status.starts_with("rkt: 1 image, queried in "), "{status}");
}
