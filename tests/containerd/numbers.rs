//! The numbers of an answer, against `ctr` and a generated client.

use std::process::Command;

use lab::containerd::{Layer, OciImage, Release, Setup};
use lab::poll::eventually;

use super::{Scene, images, number, registry, version};

lab::with_both! {
    v2_4:
    a_containerd_without_images_is_counted_as_0_and_reports_its_version,
    images_are_counted_as_ctr_and_a_cri_client_count_them,
    images_that_come_and_go_between_two_queries_are_counted,
    an_image_whose_tag_is_removed_stays_and_is_untagged,
    images_are_counted_not_their_names,
    images_of_other_namespaces_are_not_counted,
    an_image_whose_configuration_is_lost_is_counted_until_containerd_starts_again,
    a_layer_that_images_share_counts_for_each_of_them_and_compressed,
    pinned_images_are_counted_if_the_release_has_pins,
    the_file_system_for_images_is_reported,
}

fn a_containerd_without_images_is_counted_as_0_and_reports_its_version(release: Release) {
    let scene = Scene::start(release);
    scene.assert_counts(0);
    let expected = match release {
        Release::Debian => "1.6.",
        Release::V2_4(_) => "2.4.",
    };
    let scrape = scene.service.scrape();
    let version = version(&scrape);
    assert!(version.starts_with(expected), "{version}");
    assert_eq!(scrape.samples("imagestore_registry_images").count(), 0);
}

fn images_are_counted_as_ctr_and_a_cri_client_count_them(release: Release) {
    let scene = Scene::start(release);
    for (from, to) in [(0, 1), (1, 40), (40, 400)] {
        scene.containerd.import(&images(from..to));
        scene.assert_counts(to);
    }
    let scrape = scene.service.scrape();
    for host in ["docker.io", "registry.k8s.io", "quay.io", "localhost:5000"] {
        assert_eq!(registry(&scrape, host), Some(100.0), "{host}");
    }
}

fn images_that_come_and_go_between_two_queries_are_counted(release: Release) {
    let scene = Scene::start(release);
    scene.containerd.import(&images(0..5));
    scene.assert_counts(5);
    let [gone, ..] = &images(0..1)[..] else {
        panic!("not one image");
    };
    let listed = scene.containerd.images().expect("containerd answers");
    let id = listed.iter().find(|image| {
        let mut tags = image.repo_tags.iter();
        tags.any(|tag| *tag == gone.name)
    });
    let id = id.expect("the image was imported").id.clone();
    scene.containerd.remove_name(&gone.name);
    scene.containerd.remove_name(&id);
    scene.containerd.wait_for_images(4);
    scene.assert_counts(4);
    scene.containerd.import(&images(5..8));
    scene.assert_counts(7);
}

fn an_image_whose_tag_is_removed_stays_and_is_untagged(release: Release) {
    let scene = Scene::start(release);
    let images = images(0..3);
    scene.containerd.import(&images);
    scene.assert_counts(3);
    scene.containerd.remove_name(&images[1].name);
    eventually("an untagged image", || {
        let listed = scene.containerd.images().ok()?;
        let untagged = listed.iter().filter(|image| image.repo_tags.is_empty());
        (untagged.count() == 1).then_some(())
    });
    scene.assert_counts(3);
    let untagged = number(&scene.service.scrape(), "imagestore_untagged_images");
    assert_eq!(untagged, Some(1.0));
}

fn images_are_counted_not_their_names(release: Release) {
    let scene = Scene::start(release);
    scene.containerd.import(&images(0..3));
    scene.assert_counts(3);
    assert!(scene.containerd.ctr_names() > 3);
}

/// The import into the other namespace ends before the one that is waited for begins.
fn images_of_other_namespaces_are_not_counted(release: Release) {
    let scene = Scene::start(release);
    scene.containerd.import_into("default", &images(0..2));
    scene.containerd.import(&images(2..3));
    scene.assert_counts(1);
}

fn an_image_whose_configuration_is_lost_is_counted_until_containerd_starts_again(release: Release) {
    let mut scene = Scene::start(release);
    let images = images(0..3);
    scene.containerd.import(&images);
    scene.containerd.lose_config_of(&images[0]);
    let counted = |scene: &Scene| number(&scene.ask().scrape, "imagestore_images");
    assert_eq!(counted(&scene), Some(3.0));
    scene.containerd.stop();
    scene.containerd.launch(Setup::Plain);
    scene.containerd.wait_until_ready();
    assert_eq!(counted(&scene), Some(2.0));
}

fn a_layer_that_images_share_counts_for_each_of_them_and_compressed(release: Release) {
    let scene = Scene::start(release);
    scene.containerd.import(&images(0..2));
    let size = || number(&scene.ask().scrape, "imagestore_images_size_bytes").expect("it answers");
    let before = size();
    let layer = Layer::of_zeros(10_000_000);
    let images = images(2..4).into_iter();
    let images: Vec<OciImage> = images.map(|image| image.with(&layer)).collect();
    scene.containerd.import(&images);
    let added = size() - before;
    assert!(added > 2.0 * layer.compressed.len() as f64, "{added}");
    assert!(added < 100_000.0, "{added}");
}

/// containerd reads the labels again when it starts.
fn pinned_images_are_counted_if_the_release_has_pins(release: Release) {
    let mut scene = Scene::start(release);
    let images = images(0..5);
    scene.containerd.import(&images);
    for image in &images[..2] {
        scene.containerd.pin(&image.name);
    }
    scene.containerd.stop();
    scene.containerd.launch(Setup::Plain);
    scene.containerd.wait_until_ready();
    scene.assert_counts(5);
    let pinned = number(&scene.service.scrape(), "imagestore_pinned_images");
    let expected = match release {
        Release::Debian => 0.0,
        Release::V2_4(_) => 2.0,
    };
    assert_eq!(pinned, Some(expected));
}

fn the_file_system_for_images_is_reported(release: Release) {
    let scene = Scene::start(release);
    let scrape = scene.ask().scrape;
    let mut filesystems = scrape.samples("imagestore_filesystem_used_bytes");
    let mountpoint = &filesystems.next().expect("there is one").labels["mountpoint"];
    assert!(mountpoint.contains("snapshotter"), "{mountpoint}");
    let size = Command::new("stat")
        .args(["--file-system", "--format=%b*%S", mountpoint])
        .output()
        .expect("coreutils are installed");
    let size = String::from_utf8(size.stdout).expect("it is text");
    let factors = size
        .trim()
        .split('*')
        .map(|factor| factor.parse::<f64>().expect("a number"));
    let number = |name: &str| scrape.samples(name).next().expect("there is one").value;
    assert_eq!(
        number("imagestore_filesystem_size_bytes"),
        factors.product::<f64>()
    );
    assert!(number("imagestore_filesystem_avail_bytes") > 0.0);
}
