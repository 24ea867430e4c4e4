//! The numbers of a store.

use lab::cri_runtime::{Image, Images};
use lab::service::PATIENCE;

use super::{Scene, number, registries};

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
