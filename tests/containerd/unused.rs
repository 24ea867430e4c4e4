//! Unused images of a real containerd with real containers, against independent clients at the same moment: over CRI, and over
//! containerd's own API in the same and in another namespace.

use lab::containerd::{Layer, OciImage, PAUSE_IMAGE, Release, Setup};
use lab::exposition::Scrape;
use lab::poll::eventually;

use super::{Scene, number};

const NAMES: [&str; 4] = [
    "example.org/app:1",
    "example.org/other:1",
    "example.org/third:1",
    PAUSE_IMAGE,
];
const APP: &str = NAMES[0];
const OTHER: &str = NAMES[1];
const THIRD: &str = NAMES[2];

lab::with_both! {
    v2_4:
    an_image_is_used_while_it_has_a_container_running_or_not,
    an_image_that_lost_its_tag_is_used_by_the_container_that_was_made_from_it,
    containers_of_containerds_own_api_are_counted_by_the_names_of_their_images,
    in_the_namespace_of_docker_unused_images_are_absent,
}

/// A containerd with images that can run, and a service that asks for the namespaces `k8s.io` and `default` too.
fn scene(release: Release) -> Scene {
    let mut containerd = lab::containerd::Containerd::prepare(release);
    containerd.launch(Setup::Plain);
    containerd.wait_until_ready();
    let images = NAMES.map(|name| OciImage::named(name).with(&Layer::of_pause()));
    containerd.import(&images);
    let stores = ["k8s.io", "default", "moby"].map(|namespace| {
        let socket = containerd.socket().display();
        format!("{namespace}=containerd+unix://{socket}?namespace={namespace}")
    });
    Scene::with(containerd, |builder| {
        stores
            .into_iter()
            .fold(builder, |builder, store| builder.store(store))
    })
}

/// The scrape after a query in which the containers of this store were listed in time.
#[track_caller]
fn ask(scene: &Scene, store: &str) -> Scrape {
    eventually("the containers to be listed", || {
        let scrape = scene.ask().scrape;
        unused_in(&scrape, store).map(|_| scrape)
    })
}

/// What the service shows after a query is what the independent client counts. Returns the number.
#[track_caller]
fn assert_unused(scene: &Scene) -> usize {
    let unused = scene.containerd.unused_images();
    let unused: Vec<_> = unused.iter().filter(|image| !image.pinned).collect();
    let scrape = ask(scene, "cri");
    assert_eq!(
        number(&scrape, "imagestore_unused_images"),
        Some(unused.len() as f64)
    );
    assert_eq!(
        number(&scrape, "imagestore_unused_images_size_bytes"),
        Some(unused.iter().map(|image| image.size as f64).sum())
    );
    unused.len()
}

/// The same for a namespace of containerd's own API, whose label is its name.
#[track_caller]
fn assert_unused_in(scene: &Scene, namespace: &'static str) -> usize {
    let unused = scene.containerd.unused_native_images(namespace).len();
    let scrape = ask(scene, namespace);
    assert_eq!(unused_in(&scrape, namespace), Some(unused as f64));
    let bytes = scrape.value(
        "imagestore_unused_images_size_bytes",
        &[("store", namespace)],
    );
    assert_eq!(bytes, None);
    unused
}

fn unused_in(scrape: &Scrape, namespace: &str) -> Option<f64> {
    scrape.value("imagestore_unused_images", &[("store", namespace)])
}

/// Version 1.6 has no pins: there, the image of the sandboxes, which CRI does not list, counts as unused.
fn an_image_is_used_while_it_has_a_container_running_or_not(release: Release) {
    let mut scene = scene(release);
    let pause = usize::from(release == Release::Debian);
    assert_eq!(assert_unused(&scene), 3 + pause);
    let container = scene.containerd.create_container(APP);
    assert_eq!(assert_unused(&scene), 2 + pause);
    scene.containerd.start_container(&container);
    scene.containerd.create_container(OTHER);
    scene.containerd.create_container(OTHER);
    assert_eq!(assert_unused(&scene), 1 + pause);
    scene.containerd.stop_container(&container);
    assert_eq!(assert_unused(&scene), 1 + pause);
    scene.containerd.stop();
    scene.containerd.launch(Setup::Plain);
    scene.containerd.wait_until_ready();
    assert_eq!(assert_unused(&scene), 1 + pause);
    scene.containerd.remove_container(&container);
    assert_eq!(assert_unused(&scene), 2 + pause);
    let trace = scene.ask().trace;
    let asked = ["StreamContainers", "ListContainers"].map(|method| {
        trace
            .spans_named(&format!("runtime.v1.RuntimeService/{method}"))
            .len()
    });
    match release {
        Release::Debian => assert_eq!(asked, [0, 1]),
        Release::V2_4(_) => assert_eq!(asked, [1, 0]),
    }
}

fn an_image_that_lost_its_tag_is_used_by_the_container_that_was_made_from_it(release: Release) {
    let scene = scene(release);
    scene.containerd.create_container(APP);
    let before = assert_unused(&scene);
    scene.containerd.remove_name(APP);
    eventually("the tag to be gone", || {
        let images = scene.containerd.images().ok()?;
        let is_tagged = |name: &str| {
            images
                .iter()
                .any(|image| image.repo_tags.iter().any(|tag| tag == name))
        };
        (!is_tagged(APP)).then_some(())
    });
    assert_eq!(assert_unused(&scene), before);
}

fn containers_of_containerds_own_api_are_counted_by_the_names_of_their_images(release: Release) {
    const ALIAS: &str = "example.org/alias:1";
    let scene = scene(release);
    let images = [APP, OTHER, THIRD].map(OciImage::named);
    scene.containerd.import_into("default", &images);
    scene
        .containerd
        .ctr_in("default", &["images", "tag", APP, ALIAS]);
    assert_eq!(assert_unused_in(&scene, "default"), 3);
    scene
        .containerd
        .create_native_container("default", ALIAS, "first");
    scene
        .containerd
        .create_native_container("default", OTHER, "second");
    assert_eq!(assert_unused_in(&scene, "default"), 1);
    scene
        .containerd
        .ctr_in("default", &["containers", "rm", "second"]);
    assert_eq!(assert_unused_in(&scene, "default"), 2);

    // The sandboxes of Kubernetes are containers here, so their image is used.
    let container = scene.containerd.create_container(THIRD);
    scene.containerd.start_container(&container);
    assert_eq!(assert_unused_in(&scene, "k8s.io"), 2);
}

fn in_the_namespace_of_docker_unused_images_are_absent(release: Release) {
    let scene = scene(release);
    scene
        .containerd
        .import_into("moby", &[OciImage::named(APP)]);
    scene
        .containerd
        .create_native_container("moby", APP, "first");
    let event = scene.ask();
    assert_eq!(
        event
            .scrape
            .value("imagestore_images", &[("store", "moby")]),
        Some(1.0)
    );
    assert_eq!(unused_in(&event.scrape, "moby"), None);
    let containers = event
        .trace
        .spans_named("containerd.services.containers.v1.Containers/ListStream");
    assert_eq!(containers.len(), 2, "{}", event.trace.render());
}
