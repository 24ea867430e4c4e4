//! What a real containerd cannot show: very many names, absurd answers and lists that break off.

use lab::containerd_api::{Behaviour, Names, StandIn, image};
use lab::exposition::Scrape;
use lab::service::{PATIENCE, Service};

use super::{PROGRAM, counts, number, registries};

pub(super) const STORE: &str = "containerd";

/// More images than the service counts, and many names.
const MILLION: usize = 1_000_000;

/// A stand-in with these names in the namespace `moby`, and a service that queries it.
pub(super) struct Scene {
    pub(super) stand_in: StandIn,
    pub(super) service: Service,
}

impl Scene {
    pub(super) fn of(names: Names) -> Self {
        Self::in_namespace("moby", names)
    }

    /// The service queries this namespace. The deadline is longer than the test's patience, so that it decides nothing.
    pub(super) fn in_namespace(namespace: &str, names: Names) -> Self {
        let stand_in = StandIn::tcp(names);
        let service = Service::builder(PROGRAM)
            .env("OTEL_TRACES_EXPORTER", "none")
            .arg("--deadline")
            .arg("10m")
            .store(stand_in.url_of(namespace))
            .start();
        Self { stand_in, service }
    }

    /// Runs a query. Returns the status and the scrape.
    #[track_caller]
    pub(super) fn ask(&self) -> (String, Scrape) {
        (self.service.query(), self.service.scrape())
    }
}

#[test]
fn a_million_names_of_as_many_images_as_fit_are_counted_exactly() {
    const IMAGES: usize = 100_000;
    let names = |ordinal: usize| {
        let number = ordinal % IMAGES;
        // Every tenth image has no tag.
        match number % 10 {
            9 => image(&format!("quay.io/a@sha256:{ordinal:064x}"), number),
            _ => image(&format!("r{}.example.org/a:{ordinal}", number % 7), number),
        }
    };
    let (status, scrape) = Scene::of(Names::made(MILLION, names)).ask();
    assert!(status.contains("containerd: 100000 images, "), "{status}");
    assert!(!status.contains("warning"), "{status}");
    let expected = [IMAGES, MILLION, IMAGES / 10].map(|count| Some(count as f64));
    assert_eq!(counts(&scrape, STORE), expected);
    let counted: f64 = registries(&scrape, STORE)
        .iter()
        .map(|(_, count)| count)
        .sum();
    assert_eq!(counted, IMAGES as f64);
    let newest = number(&scrape, STORE, "imagestore_newest_image_timestamp_seconds");
    assert_eq!(newest, Some(1_704_067_200.0 + IMAGES as f64 - 1.0));
}

#[test]
fn of_a_million_images_only_the_names_are_counted_and_a_warning_says_so() {
    const WARNING: &str = "the images are not counted: there are more than 114688";
    let scene = Scene::of(Names::generated(3));
    assert_eq!(counts(&scene.ask().1, STORE)[0], Some(3.0));
    scene
        .stand_in
        .serve_names("moby", Names::generated(MILLION));
    let (status, scrape) = scene.ask();
    assert!(
        status.contains("containerd: 1000000 image names, queried in "),
        "{status}"
    );
    assert!(
        status.contains(&format!("(warning: {WARNING})")),
        "{status}"
    );
    assert_eq!(counts(&scrape, STORE), [None, Some(MILLION as f64), None]);
    assert_eq!(registries(&scrape, STORE), []);
    assert_eq!(number(&scrape, STORE, "imagestore_up"), Some(1.0));
    let newest = number(&scrape, STORE, "imagestore_newest_image_timestamp_seconds");
    assert_eq!(newest, Some(1_704_067_200.0 + MILLION as f64 - 1.0));
    scene
        .service
        .wait_for_stderr(|log| log.contains(WARNING), PATIENCE);
    scene.stand_in.serve_names("moby", Names::generated(5));
    let (status, scrape) = scene.ask();
    assert!(!status.contains("warning"), "{status}");
    assert_eq!(counts(&scrape, STORE), [Some(5.0), Some(5.0), Some(0.0)]);
}

#[test]
fn names_without_any_field_are_names_of_one_image() {
    let scene = Scene::of(Names::generated(0));
    let count = 100_000;
    scene.stand_in.behave(Behaviour::EmptyImages { count });
    let (_, scrape) = scene.ask();
    let expected = [1, count, 1].map(|count| Some(count as f64));
    assert_eq!(counts(&scrape, STORE), expected);
    assert_eq!(registries(&scrape, STORE), [("(none)".to_owned(), 1.0)]);
}

#[test]
fn a_digest_of_many_kilobytes_is_not_counted_and_its_name_is() {
    let long = |_| {
        let mut image = image("quay.io/a:1", 1);
        let target = image.target.as_mut().expect("it has one");
        target.media_type = "a".repeat(100_000);
        image
    };
    let (status, scrape) = Scene::of(Names::made(1, long)).ask();
    assert!(
        status.contains("(warning: the images are not counted: the digest of one cannot be read)"),
        "{status}"
    );
    assert_eq!(counts(&scrape, STORE), [None, Some(1.0), None]);
}

#[test]
fn after_a_list_that_breaks_off_the_last_numbers_stay() {
    for behaviour in [Behaviour::CutOff, Behaviour::Truncated, Behaviour::Garbage] {
        let scene = Scene::of(Names::generated(3));
        let (_, before) = scene.ask();
        scene.stand_in.serve_names("moby", Names::generated(5));
        scene.stand_in.behave(behaviour.clone());
        let (status, scrape) = scene.ask();
        assert!(status.contains("query failed"), "{status}");
        assert_eq!(number(&scrape, STORE, "imagestore_up"), Some(0.0));
        assert_eq!(counts(&scrape, STORE), [Some(3.0), Some(3.0), Some(0.0)]);
        assert_eq!(
            counts(&scrape, STORE),
            counts(&before, STORE),
            "{behaviour:?}"
        );
        assert_eq!(registries(&scrape, STORE), registries(&before, STORE));
        scene.stand_in.behave(Behaviour::Answer);
        assert_eq!(counts(&scene.ask().1, STORE)[0], Some(5.0));
    }
}
