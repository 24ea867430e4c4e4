//! What is counted.

use lab::cri_runtime::{Image, Images};
use lab::service::PATIENCE;

use super::{CRI, Scene, number, registries};

#[test]
fn images_sizes_untagged_and_pinned_ones_are_counted() {
    let images = Images::generated(1_000);
    let totals = images.totals();
    let scrape = Scene::of(images).ask();
    let told = [
        "imagestore_images",
        "imagestore_images_size_bytes",
        "imagestore_untagged_images",
        "imagestore_pinned_images",
    ]
    .map(|name| number(&scrape, name));
    let right = [
        totals.count,
        totals.size_bytes,
        totals.untagged,
        totals.pinned,
    ];
    assert_eq!(told, right.map(|number| Some(number as f64)));
    assert_eq!((totals.untagged, totals.pinned), (100, 50));
}

#[test]
fn images_are_counted_by_registry() {
    let images = Images::generated(1_000);
    let hosts: Vec<_> = images.hosts().into_iter().collect();
    let mut told = registries(&Scene::of(images).ask());
    told.sort();
    assert_eq!(told, hosts);
}

/// Registries that are named at most.
const NAMED: usize = 64;

/// Registry n has n images.
fn of_registries(numbers: impl Iterator<Item = usize>) -> Images {
    let images = numbers.flat_map(|number| {
        let image = Image::tagged(format!("r{number:02}.example.org/a:1"));
        vec![image; number]
    });
    Images::listed(images.collect::<Vec<_>>())
}

#[test]
fn dozens_of_registries_are_all_named() {
    let told = registries(&Scene::of(of_registries(1..=NAMED)).ask());
    let right = (1..=NAMED).map(|number| (format!("r{number:02}.example.org"), number as u64));
    assert_eq!(told, right.collect::<Vec<_>>());
}

#[test]
fn further_registries_are_added_up_and_the_named_ones_are_the_same_in_every_order() {
    const ALL: usize = NAMED + 3;
    let scene = Scene::of(of_registries(1..=ALL));
    let told = registries(&scene.ask());
    let others = (65 + 66 + 67) as u64;
    assert_eq!(told.len(), NAMED + 1);
    assert!(told.contains(&("(other)".to_owned(), others)), "{told:?}");

    scene.runtime.serve_images(of_registries((1..=ALL).rev()));
    assert_eq!(registries(&scene.ask()), told);
    scene
        .runtime
        .serve_images(of_registries((34..=ALL).chain(1..34)));
    assert_eq!(registries(&scene.ask()), told);
}

#[test]
fn a_registry_that_is_gone_has_no_number_any_more() {
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
fn import_times_which_cri_does_not_tell_are_absent() {
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
fn before_the_first_query_nothing_is_known() {
    let scrape = Scene::of(Images::generated(3)).service.scrape();
    assert_eq!(scrape.value("imagestore_up", &CRI), None);
    assert_eq!(scrape.value("imagestore_pinned_images", &CRI), None);
}

#[test]
fn sizes_beyond_64_bits_add_up_to_the_largest_number() {
    let huge = Image {
        size: u64::MAX,
        ..Image::untagged()
    };
    let scene = Scene::of(Images::listed([huge.clone(), huge]));
    let size = number(&scene.ask(), "imagestore_images_size_bytes");
    assert_eq!(size, Some(u64::MAX as f64));
    // Attributes of spans and events have 63 bits.
    let told = format!("imagestore.size_bytes={} ", i64::MAX);
    scene
        .service
        .wait_for_stderr(|log| log.contains(&told), PATIENCE);
}
