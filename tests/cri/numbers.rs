//! The numbers of a store.

use lab::cri_runtime::{Image, Images};
use lab::service::PATIENCE;

use super::{Scene, number, registries};

#[test]
fn images_sizes_untagged_and_pinned_ones_are_counted() {
    let images = Images::generated(1_000);
    let totals = images.totals();
    let scrape = Scene::of(images).ask();
    let reported = [
        "imagestore_images",
        "imagestore_images_size_bytes",
        "imagestore_untagged_images",
        "imagestore_pinned_images",
    ]
    .map(|name| number(&scrape, name));
    let expected = [
        totals.count,
        totals.size_bytes,
        totals.untagged,
        totals.pinned,
    ];
    assert_eq!(reported, expected.map(|number| Some(number as f64)));
    assert_eq!((totals.untagged, totals.pinned), (100, 50));
}

#[test]
fn images_are_counted_by_registry() {
    let images = Images::generated(1_000);
    let hosts: Vec<_> = images.hosts().into_iter().collect();
    let mut reported = registries(&Scene::of(images).ask());
    reported.sort();
    assert_eq!(reported, hosts);
}

/// The largest number of registries that have a label of their own.
const NAMED: usize = 64;

/// Images of which registry n has n.
fn of_registries(numbers: impl Iterator<Item = usize>) -> Images {
    let images = numbers.flat_map(|number| {
        let image = Image::tagged(format!("r{number:02}.example.org/a:1"));
        vec![image; number]
    });
    Images::listed(images.collect::<Vec<_>>())
}

#[test]
fn up_to_64_registries_are_all_named() {
    let reported = registries(&Scene::of(of_registries(1..=NAMED)).ask());
    let expected = (1..=NAMED).map(|number| (format!("r{number:02}.example.org"), number as u64));
    assert_eq!(reported, expected.collect::<Vec<_>>());
}

#[test]
fn registries_beyond_64_are_added_up_and_the_choice_does_not_depend_on_the_order() {
    const ALL: usize = NAMED + 3;
    let scene = Scene::of(of_registries(1..=ALL));
    let reported = registries(&scene.ask());
    let others = (65 + 66 + 67) as u64;
    assert_eq!(reported.len(), NAMED + 1);
    assert!(
        reported.contains(&("(other)".to_owned(), others)),
        "{reported:?}"
    );

    scene.runtime.serve_images(of_registries((1..=ALL).rev()));
    assert_eq!(registries(&scene.ask()), reported);
    scene
        .runtime
        .serve_images(of_registries((34..=ALL).chain(1..34)));
    assert_eq!(registries(&scene.ask()), reported);
}

#[test]
fn a_registry_disappears_once_it_has_no_images() {
    let scene = Scene::of(Images::listed([Image::tagged("a.example.org/a:1")]));
    scene.ask();
    let images = Images::listed([Image::tagged("b.example.org/a:1")]);
    scene.runtime.serve_images(images);
    assert_eq!(
        registries(&scene.ask()),
        [("b.example.org".to_owned(), 1_u64)]
    );
}

#[test]
fn import_times_are_absent_since_cri_does_not_have_them() {
    let scrape = Scene::of(Images::generated(3)).ask();
    for edge in ["oldest", "newest"] {
        let name = format!("imagestore_{edge}_image_timestamp_seconds");
        assert_eq!(number(&scrape, &name), None, "{name}");
    }
}

#[test]
fn an_empty_store_has_no_image_of_any_kind_and_no_registry() {
    let scrape = Scene::of(Images::generated(0)).ask();
    for name in [
        "imagestore_images",
        "imagestore_images_size_bytes",
        "imagestore_untagged_images",
        "imagestore_pinned_images",
    ] {
        assert_eq!(number(&scrape, name), Some(0.0), "{name}");
    }
    assert_eq!(registries(&scrape), []);
}

#[test]
fn a_total_size_beyond_64_bits_saturates() {
    let huge = Image {
        size: u64::MAX,
        ..Image::untagged()
    };
    let scene = Scene::of(Images::listed([huge.clone(), huge]));
    let size = number(&scene.ask(), "imagestore_images_size_bytes");
    assert_eq!(size, Some(u64::MAX as f64));
    // Attributes of spans and events are signed 64-bit integers.
    let reported = format!("imagestore.size_bytes={} ", i64::MAX);
    scene
        .service
        .wait_for_stderr(|log| log.contains(&reported), PATIENCE);
}
