//! Names of images: several for one image, names that move, and names that are not for people.

use lab::containerd::Release;

use super::{Scene, counts, images, registries};

lab::with_both! {
    v2_4:
    two_names_of_an_image_are_one_image,
    a_name_that_moves_to_another_image_is_a_name_of_that_one,
    an_image_that_has_lost_its_tag_in_docker_is_untagged_and_of_no_registry,
    an_image_is_counted_until_its_last_name_is_removed,
}

const NAMESPACE: &str = "moby";
const A: &str = "quay.io/a:1";
const B: &str = "example.org/b:1";

/// A scene with two images.
#[track_caller]
fn scene(release: Release) -> Scene {
    let scene = Scene::start(release, &[NAMESPACE]);
    scene.containerd.import_into(NAMESPACE, &images(&[A, B]));
    assert_counts(&scene, [2, 2, 0]);
    scene
}

impl Scene {
    #[track_caller]
    fn ctr(&self, arguments: &[&str]) {
        self.containerd.ctr_in(NAMESPACE, arguments);
    }
}

/// Asserts the numbers of images, of names and of images without a tag.
#[track_caller]
fn assert_counts(scene: &Scene, expected: [u32; 3]) {
    let scrape = scene.assert_counts();
    let expected = expected.map(|count| Some(f64::from(count)));
    assert_eq!(counts(&scrape, NAMESPACE), expected);
}

#[track_caller]
fn assert_registries(scene: &Scene, expected: &[(&str, f64)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|&(host, count)| (host.to_owned(), count))
        .collect();
    assert_eq!(registries(&scene.service.scrape(), NAMESPACE), expected);
}

fn two_names_of_an_image_are_one_image(release: Release) {
    let scene = scene(release);
    scene.ctr(&["images", "tag", A, "localhost:5000/a:2", "quay.io/a:latest"]);
    assert_counts(&scene, [2, 4, 0]);
}

fn a_name_that_moves_to_another_image_is_a_name_of_that_one(release: Release) {
    let scene = scene(release);
    scene.ctr(&["images", "tag", A, "quay.io/c:1"]);
    assert_counts(&scene, [2, 3, 0]);
    scene.ctr(&["images", "tag", "--force", B, "quay.io/c:1"]);
    assert_counts(&scene, [2, 3, 0]);
    // The last name of its image.
    scene.ctr(&["images", "tag", "--force", B, A]);
    assert_counts(&scene, [1, 3, 0]);
}

fn an_image_that_has_lost_its_tag_in_docker_is_untagged_and_of_no_registry(release: Release) {
    let scene = scene(release);
    let digest = &scene.containerd.ctr_digests(NAMESPACE)[A];
    scene.ctr(&["images", "tag", A, &format!("moby-dangling@{digest}")]);
    assert_counts(&scene, [2, 3, 0]);
    assert_registries(&scene, &[("example.org", 1.0), ("quay.io", 1.0)]);
    scene.ctr(&["images", "rm", A]);
    assert_counts(&scene, [2, 2, 1]);
    assert_registries(&scene, &[("(none)", 1.0), ("example.org", 1.0)]);
}

fn an_image_is_counted_until_its_last_name_is_removed(release: Release) {
    let scene = scene(release);
    scene.ctr(&["images", "tag", A, "quay.io/a:2"]);
    scene.ctr(&["images", "rm", A]);
    assert_counts(&scene, [2, 2, 0]);
    scene.ctr(&["images", "rm", "quay.io/a:2"]);
    assert_counts(&scene, [1, 1, 0]);
    scene.ctr(&["images", "rm", "--sync", B]);
    assert_counts(&scene, [0, 0, 0]);
    assert_registries(&scene, &[]);
}
