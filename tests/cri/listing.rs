//! Lists in one message (`ListImages`) and in a stream of batches (`StreamImages`).

use lab::cri_runtime::{Behaviour, Images, Method};
use tonic::{Code, Status};

use super::{Scene, failures, number};

/// Sends this many batches, then fails.
fn fail_after(batches: usize, code: Code) -> Behaviour {
    Behaviour::FailAfter(batches, Status::new(code, "no more of it"))
}

/// 25 images, in batches of 10.
fn scene() -> Scene {
    let scene = Scene::of(Images::generated(25));
    scene.runtime.serve_batches_of(10);
    scene
}

#[test]
fn a_stream_without_a_message_is_an_empty_store() {
    let scrape = Scene::of(Images::generated(0)).ask();
    assert_eq!(number(&scrape, "imagestore_images"), Some(0.0));
    assert_eq!(number(&scrape, "imagestore_up"), Some(1.0));
}

#[test]
fn a_stream_that_is_unimplemented_after_its_headers_counts_as_missing_too() {
    let scene = scene();
    let behind_headers = fail_after(0, Code::Unimplemented);
    scene
        .runtime
        .behave_for(Method::StreamImages, behind_headers);
    let asked = scene.lists_asked();
    assert_eq!(asked, [Method::StreamImages, Method::ListImages]);
    let images = number(&scene.service.scrape(), "imagestore_images");
    assert_eq!(images, Some(25.0));
}

#[test]
fn if_stream_and_list_both_fail_the_next_query_tries_the_stream_again() {
    let scene = scene();
    let unavailable = Behaviour::Fail(Status::unavailable("starting"));
    scene.runtime.without(Method::StreamImages);
    scene.runtime.behave_for(Method::ListImages, unavailable);
    scene.ask();
    scene.runtime.behave(Behaviour::Answer);
    assert_eq!(scene.lists_asked(), [Method::StreamImages]);
}

#[test]
fn a_runtime_without_stream_and_list_is_a_failure_with_the_runtimes_message() {
    let scene = scene();
    scene.runtime.without(Method::StreamImages);
    scene.runtime.without(Method::ListImages);
    let status = scene.service.query();
    assert!(status.contains("unknown method ListImages"), "{status}");
    assert_eq!(failures(&scene.service.scrape(), "UNIMPLEMENTED"), 1.0);
}

#[test]
fn a_stream_that_breaks_between_batches_leaves_the_last_numbers_as_they_were() {
    let scene = scene();
    scene.ask();
    scene.runtime.serve_images(Images::generated(70));
    let broken = fail_after(2, Code::Internal);
    scene.runtime.behave_for(Method::StreamImages, broken);
    let scrape = scene.ask();
    assert_eq!(number(&scrape, "imagestore_images"), Some(25.0));
    assert_eq!(number(&scrape, "imagestore_up"), Some(0.0));
    assert_eq!(failures(&scrape, "INTERNAL"), 1.0);
}

#[test]
fn a_stream_that_breaks_within_a_batch_leaves_the_last_numbers_as_they_were() {
    let scene = scene();
    scene.ask();
    scene.runtime.serve_images(Images::generated(70));
    scene
        .runtime
        .behave_for(Method::StreamImages, Behaviour::CutOff);
    let scrape = scene.ask();
    assert_eq!(number(&scrape, "imagestore_images"), Some(25.0));
    assert_eq!(number(&scrape, "imagestore_up"), Some(0.0));
    assert_eq!(scrape.sum("imagestore_query_failures_total"), Some(1.0));
}

#[test]
fn a_broken_stream_does_not_fall_back_to_the_list() {
    let scene = scene();
    let broken = fail_after(1, Code::Unavailable);
    scene.runtime.behave_for(Method::StreamImages, broken);
    assert_eq!(scene.lists_asked(), [Method::StreamImages]);
}

#[test]
fn a_first_stream_that_breaks_leaves_no_numbers() {
    let scene = scene();
    let broken = fail_after(2, Code::Unavailable);
    scene.runtime.behave_for(Method::StreamImages, broken);
    let scrape = scene.ask();
    assert_eq!(number(&scrape, "imagestore_images"), None);
    assert_eq!(number(&scrape, "imagestore_up"), Some(0.0));
}

#[test]
fn a_stream_that_is_unimplemented_after_a_batch_is_broken_and_not_missing() {
    let scene = scene();
    scene.ask();
    let late = fail_after(1, Code::Unimplemented);
    scene.runtime.behave_for(Method::StreamImages, late);
    assert_eq!(scene.lists_asked(), [Method::StreamImages]);
    let scrape = scene.service.scrape();
    assert_eq!(number(&scrape, "imagestore_images"), Some(25.0));
    assert_eq!(number(&scrape, "imagestore_up"), Some(0.0));
    assert_eq!(failures(&scrape, "UNIMPLEMENTED"), 1.0);
    // The runtime is still treated as one that streams.
    assert_eq!(scene.lists_asked(), [Method::StreamImages]);
}

#[test]
fn a_batch_without_images_counts_as_a_batch() {
    let scene = scene();
    let late = Behaviour::trailers(&[("grpc-status", "12")]);
    scene.runtime.behave_for(Method::StreamImages, late);
    assert_eq!(scene.lists_asked(), [Method::StreamImages]);
    let scrape = scene.service.scrape();
    assert_eq!(failures(&scrape, "UNIMPLEMENTED"), 1.0);
}

/// A runtime that is known to lack the stream, and whose list then fails.
fn listing_fails(behaviour: Behaviour) -> Scene {
    let scene = scene();
    scene.runtime.without(Method::StreamImages);
    scene.ask();
    assert_eq!(scene.lists_asked(), [Method::ListImages]);
    scene.runtime.behave_for(Method::ListImages, behaviour);
    assert_eq!(scene.lists_asked(), [Method::ListImages]);
    assert_eq!(number(&scene.service.scrape(), "imagestore_up"), Some(0.0));
    scene
}

#[test]
fn a_list_that_fails_lets_the_next_query_try_the_stream_again() {
    for code in [
        Code::Unavailable,
        Code::Unknown,
        // A method that is gone.
        Code::Unimplemented,
    ] {
        let status = Status::new(code, "broken");
        let scene = listing_fails(Behaviour::Fail(status));
        // The runtime is upgraded and now streams.
        scene
            .runtime
            .behave_for(Method::StreamImages, Behaviour::Answer);
        assert_eq!(scene.lists_asked(), [Method::StreamImages], "{code:?}");
        let up = number(&scene.service.scrape(), "imagestore_up");
        assert_eq!(up, Some(1.0), "{code:?}");
    }
}

#[test]
fn a_list_that_breaks_off_lets_the_next_query_try_the_stream_again() {
    let scene = listing_fails(Behaviour::CutOff);
    scene
        .runtime
        .behave_for(Method::StreamImages, Behaviour::Answer);
    assert_eq!(scene.lists_asked(), [Method::StreamImages]);
}

#[test]
fn after_a_runtime_was_unreachable_it_is_asked_for_the_stream_again() {
    let scene = scene();
    scene.runtime.without(Method::StreamImages);
    scene.ask();
    scene.runtime.behave(Behaviour::Refuse);
    scene.ask();
    scene.runtime.behave(Behaviour::Answer);
    assert_eq!(scene.lists_asked(), [Method::StreamImages]);
}
