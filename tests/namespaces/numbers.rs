//! The numbers of several namespaces of one containerd.

use std::collections::BTreeSet;

use lab::containerd::{Containerd, Release, Setup};
use lab::exposition::Scrape;
use lab::poll::eventually;

use super::{Scene, counts, images, number, registries};

lab::with_both! {
    v2_4:
    each_namespace_is_counted_as_ctr_and_a_generated_client_count_it,
    the_times_are_those_at_which_the_names_were_made,
    the_version_is_that_of_ctr,
    the_namespace_of_kubernetes_has_the_images_of_cri,
    an_image_that_cri_has_lost_still_has_its_names,
}

fn each_namespace_is_counted_as_ctr_and_a_generated_client_count_it(release: Release) {
    let scene = Scene::start(release, &["moby", "default", "k8s.io"]);
    let few = images(&["quay.io/a:1", "quay.io/b:1", "example.org/c:1"]);
    scene.containerd.import_into("moby", &few);
    scene.containerd.import_into("default", &few[..1]);
    let scrape = scene.assert_counts();
    let registries_of = |store| registries(&scrape, store);
    let moby = [("example.org", 1.0), ("quay.io", 2.0)].map(|(host, count)| (host.into(), count));
    assert_eq!(registries_of("moby"), moby);
    assert_eq!(registries_of("default"), [("quay.io".into(), 1.0)]);
    assert_eq!(counts(&scrape, "k8s.io")[0], Some(0.0));

    let names: Vec<String> = (0..400)
        .map(|number| format!("quay.io/n:{number}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    scene.containerd.import_into("default", &images(&names));
    scene.containerd.import(&images(&names[..5]));
    let scrape = scene.assert_counts();
    let counted = ["moby", "default", "k8s.io"].map(|store| counts(&scrape, store)[0]);
    assert_eq!(counted, [Some(3.0), Some(401.0), Some(5.0)]);
}

fn the_times_are_those_at_which_the_names_were_made(release: Release) {
    const OLD: &str = "quay.io/a:1";
    const NEW: &str = "quay.io/a:2";
    let scene = Scene::start(release, &["moby"]);
    let edges = |scrape: &Scrape| {
        ["oldest", "newest"].map(|edge| {
            let name = format!("imagestore_{edge}_image_timestamp_seconds");
            number(scrape, "moby", &name).expect("there is an image")
        })
    };
    let ctr = |arguments: &[&str]| scene.containerd.ctr_in("moby", arguments);
    scene.containerd.import_into("moby", &images(&[OLD]));
    let [old, newest] = edges(&scene.assert_counts());
    assert_eq!(old, newest);
    eventually("a name of a later second", || {
        ctr(&["images", "tag", OLD, NEW]);
        let listed = scene.containerd.images_in("moby").into_iter();
        let times: BTreeSet<_> = listed
            .map(|image| image.created_at.map(|time| time.seconds))
            .collect();
        if times.len() == 1 {
            ctr(&["images", "rm", NEW]);
        }
        (times.len() == 2).then_some(())
    });
    let [oldest, newest] = edges(&scene.assert_counts());
    assert!(oldest == old && newest > old, "{oldest} {newest}");
    // Neither a label nor another import makes a name anew.
    ctr(&["images", "label", OLD, "a=b"]);
    scene.containerd.import_into("moby", &images(&[OLD]));
    assert_eq!(edges(&scene.assert_counts()), [oldest, newest]);
    ctr(&["images", "rm", OLD]);
    assert_eq!(edges(&scene.assert_counts()), [newest; 2]);
}

fn the_version_is_that_of_ctr(release: Release) {
    let scene = Scene::start(release, &["moby", "default"]);
    let scrape = scene.assert_counts();
    let version = scene.containerd.ctr_version();
    for store in ["moby", "default"] {
        let labels = [
            ("store", store),
            ("runtime", "containerd"),
            ("version", version.as_str()),
            ("api_version", "v1"),
        ];
        assert_eq!(scrape.value("imagestore_runtime_info", &labels), Some(1.0));
    }
    assert_eq!(scrape.samples("imagestore_runtime_info").count(), 2);
}

/// A service that queries `k8s.io` by both kinds.
fn kubernetes(containerd: Containerd) -> Scene {
    let cri = containerd.url();
    Scene::with(containerd, &["k8s.io"], |builder| builder.store(cri))
}

/// CRI counts configurations, and each of them has a name `sha256:…`. Names of several manifests with the same configuration are one
/// image there, and two here.
fn the_namespace_of_kubernetes_has_the_images_of_cri(release: Release) {
    let scene = kubernetes(Containerd::start_of(release));
    let containerd = &scene.containerd;
    containerd.import(&images(&["quay.io/a:1", "quay.io/b:1", "example.org/c:1"]));
    // Images by their configurations, which are names and not tags.
    assert_eq!(containerd.ctr_images(), 3);
    let scrape = scene.assert_counts();
    assert_eq!(counts(&scrape, "k8s.io"), [Some(3.0), Some(6.0), Some(0.0)]);
    assert_eq!(number(&scrape, "cri", "imagestore_images"), Some(3.0));

    containerd.remove_name("quay.io/a:1");
    let scrape = scene.assert_counts();
    assert_eq!(counts(&scrape, "k8s.io"), [Some(3.0), Some(5.0), Some(1.0)]);
    let expected = [("(none)", 1.0), ("example.org", 1.0), ("quay.io", 1.0)];
    let expected = expected.map(|(host, count)| (host.to_owned(), count));
    assert_eq!(registries(&scrape, "k8s.io"), expected);
}

/// containerd's CRI plugin reads the configurations when it starts.
fn an_image_that_cri_has_lost_still_has_its_names(release: Release) {
    let mut scene = kubernetes(Containerd::start_of(release));
    let images = images(&["quay.io/a:1", "quay.io/b:1"]);
    scene.containerd.import(&images);
    scene.containerd.lose_config_of(&images[0]);
    scene.containerd.stop();
    scene.containerd.launch(Setup::Plain);
    scene.containerd.wait_until_ready();
    let scrape = scene.assert_counts();
    assert_eq!(counts(&scrape, "k8s.io")[0], Some(2.0));
    assert_eq!(number(&scrape, "cri", "imagestore_images"), Some(1.0));
}
