//! Which method lists the images, and lists that are longer than containerd may send in one message.

use lab::containerd::{Containerd, Release, Setup};

use super::{RESOURCE_EXHAUSTED, Scene, UNIMPLEMENTED, assert_asked, images, number};

#[test]
fn a_containerd_before_2_4_is_asked_for_the_stream_only_once() {
    let scene = Scene::start(Release::Debian);
    assert_asked(&scene.ask().trace, 1, 1);
    let second = scene.ask();
    assert_asked(&second.trace, 0, 1);
    let failures = second.scrape.sum("imagestore_query_failures_total");
    assert_eq!(failures, Some(0.0));
}

#[test]
fn a_containerd_from_2_4_on_is_never_asked_for_the_list() {
    let Some(release) = Release::v2_4() else {
        return;
    };
    let scene = Scene::start(release);
    assert_asked(&scene.ask().trace, 1, 0);
    scene.containerd.import(&images(0..3));
    assert_asked(&scene.ask().trace, 1, 0);
}

/// containerd sends 5,000 images in a message.
#[test]
fn a_stream_of_several_messages_is_counted_though_the_list_exceeds_the_message_limit() {
    const IMAGES: usize = 5_020;
    /// gRPC's prefix of a message, in bytes.
    const FRAME: usize = 5;
    let Some(release) = Release::v2_4() else {
        return;
    };
    let mut containerd = Containerd::prepare(release);
    // containerd reads images faster when it starts than while they come in.
    containerd.launch(Setup::WithoutCri);
    containerd.wait_for_failure(UNIMPLEMENTED);
    containerd.import_into("k8s.io", &images(0..IMAGES));
    containerd.stop();
    containerd.launch(Setup::Plain);
    containerd.wait_until_ready();
    let mut scene = Scene::of(containerd);
    scene.assert_counts(IMAGES);
    let messages = scene.containerd.streamed().expect("containerd streams");
    let counts: Vec<_> = messages.iter().map(|(images, _)| *images).collect();
    assert_eq!(counts, [5_000, 20]);
    let bytes: usize = messages.iter().map(|(_, bytes)| FRAME + bytes).sum();
    let received = number(&scene.service.scrape(), "imagestore_response_bytes");
    assert_eq!(received, Some(bytes as f64));

    // Less than the list, and more than its first 5,000 images, whichever these are.
    let limit = bytes * (IMAGES - 10) / IMAGES;
    scene.containerd.stop();
    scene.containerd.launch(Setup::SendsAtMost(limit));
    scene.containerd.wait_for_failure(RESOURCE_EXHAUSTED);
    let event = scene.ask();
    assert_asked(&event.trace, 1, 0);
    assert_eq!(number(&event.scrape, "imagestore_up"), Some(1.0));
    assert_eq!(
        number(&event.scrape, "imagestore_images"),
        Some(IMAGES as f64)
    );
}
