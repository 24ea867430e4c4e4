//! Wrong answers: each is a failure with a code, and the last good numbers stay.

use std::time::Duration;

use lab::cri_runtime::{Behaviour, Images, Method, Reason};
use tonic::{Code, Status};

use super::{Scene, failures, number};

/// The last good answer had three images; then the runtime does this instead.
#[track_caller]
fn assert_fails(behaviour: Behaviour, deadline: &str, code: &str) {
    let scene = Scene::with(Images::generated(3), |builder| {
        builder.arg("--deadline").arg(deadline)
    });
    let first = scene.ask();
    assert_eq!(number(&first, "imagestore_up"), Some(1.0), "{first:?}");
    let before = failures(&first, code);
    scene.runtime.serve_images(Images::generated(5));
    scene.runtime.behave(behaviour.clone());
    let scrape = scene.ask();
    assert_eq!(number(&scrape, "imagestore_up"), Some(0.0), "{behaviour:?}");
    assert_eq!(failures(&scrape, code), before + 1.0, "{behaviour:?}");
    let images = number(&scrape, "imagestore_images");
    assert_eq!(images, Some(3.0), "{behaviour:?}");
}

#[test]
fn answers_that_break_the_protocol_are_internal_errors() {
    for behaviour in [
        Behaviour::Lie,
        Behaviour::Garbage,
        Behaviour::Truncated,
        Behaviour::Compressed,
        Behaviour::WithoutTrailers,
    ] {
        assert_fails(behaviour, "10m", "INTERNAL");
    }
}

#[test]
fn a_connection_that_is_closed_is_unavailable() {
    assert_fails(Behaviour::CutOff, "10m", "UNAVAILABLE");
}

#[test]
fn a_reset_stream_has_the_code_that_grpc_gives_it() {
    let refused = Behaviour::Reset(Reason::REFUSED_STREAM);
    assert_fails(refused, "10m", "UNAVAILABLE");
    let calm = Behaviour::Reset(Reason::ENHANCE_YOUR_CALM);
    assert_fails(calm, "10m", "RESOURCE_EXHAUSTED");
}

#[test]
fn what_is_not_grpc_is_told_by_its_http_status() {
    let unavailable = Behaviour::NotGrpc { status: 503 };
    assert_fails(unavailable, "10m", "UNAVAILABLE");
    let forbidden = Behaviour::NotGrpc { status: 403 };
    assert_fails(forbidden, "10m", "PERMISSION_DENIED");
}

#[test]
fn answers_that_do_not_end_exceed_the_deadline() {
    for behaviour in [
        Behaviour::Silent,
        Behaviour::Hang,
        Behaviour::HangInBody,
        Behaviour::Flood,
    ] {
        let scene = Scene::with(Images::generated(3), |builder| {
            builder.arg("--deadline").arg("300ms")
        });
        scene.runtime.behave(behaviour.clone());
        let scrape = scene.ask();
        assert_eq!(number(&scrape, "imagestore_up"), Some(0.0), "{behaviour:?}");
        assert_eq!(failures(&scrape, "DEADLINE_EXCEEDED"), 1.0, "{behaviour:?}");
        assert_eq!(number(&scrape, "imagestore_images"), None, "{behaviour:?}");
    }
}

#[test]
fn an_answer_that_does_not_end_leaves_the_numbers_of_the_one_before() {
    // A good answer takes a hundredth of that.
    assert_fails(Behaviour::Hang, "5s", "DEADLINE_EXCEEDED");
}

#[test]
fn a_late_failure_has_the_runtimes_code() {
    let late = Behaviour::FailAfterBody(Status::data_loss("the disk is gone"));
    assert_fails(late, "10m", "DATA_LOSS");
}

#[test]
fn an_answer_in_single_bytes_is_a_good_one() {
    let scene = Scene::of(Images::generated(20));
    scene.runtime.behave(Behaviour::Dribble { chunk: 1 });
    assert_eq!(number(&scene.ask(), "imagestore_images"), Some(20.0));
}

#[test]
fn a_slow_answer_is_a_good_one() {
    let scene = Scene::of(Images::generated(20));
    scene
        .runtime
        .behave(Behaviour::Slow(Duration::from_millis(50)));
    assert_eq!(number(&scene.ask(), "imagestore_images"), Some(20.0));
}

#[test]
fn images_without_any_field_are_images_without_a_tag() {
    let scene = Scene::of(Images::generated(0));
    scene
        .runtime
        .behave(Behaviour::EmptyImages { count: 100_000 });
    let scrape = scene.ask();
    for name in ["imagestore_images", "imagestore_untagged_images"] {
        assert_eq!(number(&scrape, name), Some(100_000.0), "{name}");
    }
}

#[test]
fn a_stream_without_images_can_end_before_it_has_begun() {
    let scene = Scene::of(Images::generated(3));
    scene
        .runtime
        .behave_for(Method::StreamImages, Behaviour::NoMessage);
    let scrape = scene.ask();
    assert_eq!(number(&scrape, "imagestore_images"), Some(0.0));
    assert_eq!(number(&scrape, "imagestore_up"), Some(1.0));
}

#[test]
fn a_runtime_that_reads_its_store_after_a_start_is_not_ready() {
    let scene = Scene::of(Images::generated(3));
    // containerd 1.x says it with code UNKNOWN, 2.x with UNAVAILABLE.
    for (code, message) in [
        (Code::Unknown, "server is not initialized yet"),
        (
            Code::Unavailable,
            "server is not initialized yet: unavailable",
        ),
    ] {
        let status = Status::new(code, message);
        scene.runtime.behave(Behaviour::Fail(status));
        let status = scene.service.query();
        let sentence = format!("the runtime is starting and not ready yet: {message}");
        assert!(status.contains(&sentence), "{status}");
    }
    assert_eq!(failures(&scene.service.scrape(), "UNAVAILABLE"), 2.0);
}

#[test]
fn a_runtime_that_serves_no_cri_of_today_is_told_what_may_be_wrong() {
    let scene = Scene::of(Images::generated(3));
    scene.runtime.behave(Behaviour::Fail(Status::unimplemented(
        "unknown service runtime.v1.ImageService",
    )));
    let status = scene.service.query();
    for part in [
        "the runtime does not serve runtime.v1",
        "its CRI plugin may be disabled",
        "it may serve runtime.v1alpha2 only",
        "containerd before 1.6",
        "unknown service runtime.v1.ImageService",
    ] {
        assert!(status.contains(part), "no {part:?} in {status}");
    }
    assert_eq!(failures(&scene.service.scrape(), "UNIMPLEMENTED"), 1.0);
}
