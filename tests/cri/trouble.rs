//! Bad answers: each is a failure with a code, and the last good numbers stay.

use std::time::Duration;

use lab::cri_runtime::{Behaviour, Images};
use tonic::Status;

use super::{Scene, failures, number};

/// After a good answer with three images the runtime behaves like this, and the query fails with this code.
#[track_caller]
fn assert_fails(behaviour: Behaviour, code: &str) {
    let scene = Scene::of(Images::generated(3));
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
fn a_connection_that_is_closed_is_unavailable() {
    assert_fails(Behaviour::CutOff, "UNAVAILABLE");
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
fn a_late_failure_has_the_runtimes_code() {
    let late = Behaviour::FailAfterBody(Status::data_loss("the disk is gone"));
    assert_fails(late, "DATA_LOSS");
}

#[test]
fn an_answer_that_arrives_in_single_bytes_is_counted() {
    let scene = Scene::of(Images::generated(20));
    scene.runtime.behave(Behaviour::Dribble { chunk: 1 });
    assert_eq!(number(&scene.ask(), "imagestore_images"), Some(20.0));
}

#[test]
fn a_slow_answer_is_counted() {
    let scene = Scene::of(Images::generated(20));
    scene
        .runtime
        .behave(Behaviour::Slow(Duration::from_millis(50)));
    assert_eq!(number(&scene.ask(), "imagestore_images"), Some(20.0));
}

#[test]
fn images_without_any_field_are_counted_as_untagged() {
    let scene = Scene::of(Images::generated(0));
    scene
        .runtime
        .behave(Behaviour::EmptyImages { count: 100_000 });
    let scrape = scene.ask();
    for name in ["imagestore_images", "imagestore_untagged_images"] {
        assert_eq!(number(&scrape, name), Some(100_000.0), "{name}");
    }
}
