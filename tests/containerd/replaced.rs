//! One release is replaced by the other, with its own images, behind one socket. The service runs on.

use lab::containerd::{Containerd, Release, Setup};

use super::{RESOURCE_EXHAUSTED, Scene, assert_asked, images, number, version};

/// The query after the replacement still asks as before: it learns from the answer that the version is new.
#[test]
fn after_an_upgrade_the_images_are_counted_and_then_streamed() {
    let Some(release) = Release::v2_4() else {
        return;
    };
    let mut scene = Scene::start(Release::Debian);
    scene.containerd.import(&images(0..3));
    scene.assert_counts(3);
    let _debian = scene.replace_by(Containerd::prepare(release), Setup::Plain);
    scene.containerd.wait_until_ready();
    scene.containerd.import(&images(3..8));
    let first = scene.ask();
    assert_eq!(number(&first.scrape, "imagestore_images"), Some(5.0));
    assert!(version(&first.scrape).starts_with("2.4."));
    assert_asked(&first.trace, 0, 1);
    assert_asked(&scene.ask().trace, 1, 0);
    scene.assert_counts(5);
}

#[test]
fn after_a_downgrade_the_images_are_listed() {
    let Some(release) = Release::v2_4() else {
        return;
    };
    let mut scene = Scene::start(release);
    scene.containerd.import(&images(0..5));
    scene.assert_counts(5);
    let _newer = scene.replace_by(Containerd::prepare(Release::Debian), Setup::Plain);
    scene.containerd.wait_until_ready();
    scene.containerd.import(&images(5..8));
    let first = scene.ask();
    assert_eq!(number(&first.scrape, "imagestore_images"), Some(3.0));
    assert!(!version(&first.scrape).starts_with("2.4."));
    assert_asked(&first.trace, 1, 1);
    scene.assert_counts(3);
}

#[test]
fn an_upgrade_cures_a_list_that_was_too_long_and_a_downgrade_brings_the_failure_back() {
    let Some(release) = Release::v2_4() else {
        return;
    };
    const LIMIT: Setup = Setup::SendsAtMost(4096);
    let mut scene = Scene::start(Release::Debian);
    scene.containerd.import(&images(0..100));
    scene.assert_counts(100);
    scene.containerd.stop();
    scene.containerd.launch(LIMIT);
    scene.containerd.wait_for_failure(RESOURCE_EXHAUSTED);
    scene.assert_fails("RESOURCE_EXHAUSTED", "larger than max");

    let debian = scene.replace_by(Containerd::prepare(release), LIMIT);
    scene.containerd.wait_until_ready();
    scene.containerd.import(&images(0..3));
    assert_asked(&scene.ask().trace, 1, 0);
    scene.assert_counts(3);

    let _newer = scene.replace_by(debian, LIMIT);
    scene.containerd.wait_for_failure(RESOURCE_EXHAUSTED);
    scene.assert_fails("RESOURCE_EXHAUSTED", "larger than max");
}
