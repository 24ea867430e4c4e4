//! Images that no container uses. The containers are asked for together with the list of images, which never fails because of them;
//! tests/containerd/unused.rs has real containers.

use lab::cri_runtime::v1::Container;
use lab::cri_runtime::{Behaviour, Image, Images, Method, container};
use lab::exposition::Scrape;
use lab::service::PATIENCE;
use tonic::Status;

use super::{Scene, number};

fn id(ordinal: usize) -> String {
    format!("sha256:{ordinal:064x}")
}

/// Unused images, and their size.
fn unused(scrape: &Scrape) -> [Option<f64>; 2] {
    let names = [
        "imagestore_unused_images",
        "imagestore_unused_images_size_bytes",
    ];
    names.map(|name| number(scrape, name))
}

/// A runtime with ten images of 1,000 bytes, of which containers use two.
fn scene() -> Scene {
    let images = Images::made(10, |ordinal| Image {
        id: id(ordinal),
        ..Image::tagged("quay.io/a:1")
    });
    let scene = Scene::with(images, |builder| {
        builder
            .arg("--deadline")
            .arg("10m")
            .arg("--log-level=debug")
    });
    scene
        .runtime
        .serve_containers([container(id(3)), container(id(4)), container(id(3))]);
    scene
}

const ALL_BUT_TWO: [Option<f64>; 2] = [Some(8.0), Some(8_000.0)];

#[test]
fn images_that_no_container_refers_to_are_unused() {
    let scene = scene();
    assert_eq!(unused(&scene.ask()), ALL_BUT_TWO);
    scene.runtime.serve_containers([]);
    assert_eq!(unused(&scene.ask()), [Some(10.0), Some(10_000.0)]);
    scene
        .runtime
        .serve_containers((0..10).map(id).map(container));
    assert_eq!(unused(&scene.ask()), [Some(0.0), Some(0.0)]);
}

#[test]
fn pinned_images_are_not_unused() {
    let images = [Image::tagged("a:1").pinned(), Image::tagged("b:1")];
    let scene = Scene::of(Images::listed(images));
    assert_eq!(unused(&scene.ask()), [Some(1.0), Some(1_000.0)]);
}

#[test]
fn references_to_images_that_are_not_listed_change_nothing() {
    let scene = scene();
    let containers = [3, 4, 11, 12].map(id).map(container);
    scene.runtime.serve_containers(containers);
    assert_eq!(unused(&scene.ask()), ALL_BUT_TWO);
}

/// Runtimes before Kubernetes 1.29 do not have `image_id`; CRI-O's `image_ref` was a digest then.
#[test]
fn without_an_id_the_reference_is_an_id_or_a_digest_and_never_a_tag() {
    let digest = "quay.io/a@sha256:aa";
    let named = |ordinal| Image {
        id: id(ordinal),
        repo_tags: vec![b"quay.io/a:1".to_vec()],
        repo_digests: vec![b"quay.io/b@sha256:bb".to_vec(), digest.into()],
        ..Image::untagged()
    };
    let scene = Scene::of(Images::made(3, move |ordinal| match ordinal {
        0 => named(ordinal),
        _ => Image {
            id: id(ordinal),
            ..Image::untagged()
        },
    }));
    let reference = |image_ref: &str| Container {
        image_ref: image_ref.to_owned(),
        ..Container::default()
    };
    let unused_with = |container| {
        scene.runtime.serve_containers([container]);
        unused(&scene.ask())[0]
    };
    assert_eq!(unused_with(reference(&id(1))), Some(2.0));
    assert_eq!(unused_with(reference(digest)), Some(2.0));
    assert_eq!(unused_with(reference("quay.io/a:1")), Some(3.0));
    let both = Container {
        image_id: id(11),
        ..reference(digest)
    };
    assert_eq!(unused_with(both), Some(3.0));
}

#[test]
fn a_runtime_without_the_stream_of_containers_is_asked_for_the_list_and_once_for_the_stream() {
    let scene = scene();
    scene.runtime.without(Method::StreamContainers);
    assert_eq!(unused(&scene.ask()), ALL_BUT_TWO);
    let mut containers = scene.methods_asked();
    containers.retain(|method| matches!(method, Method::ListContainers | Method::StreamContainers));
    assert_eq!(containers, [Method::ListContainers]);
    scene.runtime.serve_version("stand-in", "1.0.1");
    scene.ask();
    assert!(scene.methods_asked().contains(&Method::StreamContainers));
}

/// Both answers are longer than what a stream may send before it is read.
#[test]
fn long_answers_of_both_calls_do_not_block_each_other() {
    const IMAGES: usize = 20_000;
    let images = Images::made(IMAGES, |ordinal| Image {
        id: id(ordinal),
        ..Image::tagged("quay.io/a:1")
    });
    let scene = Scene::of(images);
    let containers = (0..100_000).map(|ordinal| Container {
        id: format!("{ordinal:064}"),
        ..container(id(ordinal % 500))
    });
    scene.runtime.serve_containers(containers);
    let scrape = scene.ask();
    assert_eq!(number(&scrape, "imagestore_images"), Some(IMAGES as f64));
    assert_eq!(unused(&scrape)[0], Some((IMAGES - 500) as f64));
}

/// How a runtime answers for its containers, and what a line of the debug log says about it.
fn troubles() -> Vec<(Behaviour, &'static str)> {
    vec![
        (
            Behaviour::Fail(Status::permission_denied("no")),
            "code=\"PERMISSION_DENIED\"",
        ),
        (
            Behaviour::FailAfterBody(Status::unknown("no")),
            "code=\"UNKNOWN\"",
        ),
        (Behaviour::Garbage, "code=\"INTERNAL\""),
        (Behaviour::Compressed, "code=\"INTERNAL\""),
        (Behaviour::Hang, "code=\"DEADLINE_EXCEEDED\""),
        (Behaviour::Flood, "code=\"DEADLINE_EXCEEDED\""),
        (Behaviour::CutOff, "code=\"UNAVAILABLE\""),
        (Behaviour::Refuse, "code=\"UNAVAILABLE\""),
        (Behaviour::Silent, "code=\"DEADLINE_EXCEEDED\""),
    ]
}

#[test]
fn if_the_containers_cannot_be_listed_unused_images_are_absent_and_the_images_are_counted() {
    for (behaviour, logged) in troubles() {
        let scene = scene();
        assert_eq!(unused(&scene.ask()), ALL_BUT_TWO);
        for method in [Method::StreamContainers, Method::ListContainers] {
            scene.runtime.behave_for(method, behaviour.clone());
        }
        let scrape = scene.ask();
        assert_eq!(unused(&scrape), [None, None], "{behaviour:?}");
        assert_eq!(number(&scrape, "imagestore_images"), Some(10.0));
        assert_eq!(number(&scrape, "imagestore_up"), Some(1.0));
        assert_eq!(scrape.sum("imagestore_query_failures_total"), Some(0.0));
        let is_explained = |log: &str| {
            let mut lines = log.lines().filter(|line| line.contains("DEBUG"));
            lines.any(|line| line.contains("unused images not counted") && line.contains(logged))
        };
        scene.service.wait_for_stderr(is_explained, PATIENCE);
        for method in [Method::StreamContainers, Method::ListContainers] {
            scene.runtime.behave_for(method, Behaviour::Answer);
        }
        assert_eq!(unused(&scene.ask()), ALL_BUT_TWO, "{behaviour:?}");
    }
}

#[test]
fn too_many_references_leave_unused_images_absent() {
    const MOST: usize = 28_672;
    let scene = scene();
    scene
        .runtime
        .serve_containers((0..MOST).map(id).map(container));
    assert_eq!(unused(&scene.ask()), [Some(0.0), Some(0.0)]);
    scene
        .runtime
        .serve_containers((0..=MOST).map(id).map(container));
    let scrape = scene.ask();
    assert_eq!(unused(&scrape), [None, None]);
    assert_eq!(number(&scrape, "imagestore_images"), Some(10.0));
}

#[test]
fn a_list_that_fails_does_not_wait_for_the_containers() {
    let scene = scene();
    scene
        .runtime
        .behave_for(Method::StreamContainers, Behaviour::Hang);
    let failing = Behaviour::Fail(Status::unknown("the plugin is broken"));
    scene.runtime.behave_for(Method::StreamImages, failing);
    let status = scene.service.query();
    assert!(status.contains("the plugin is broken"), "{status}");
    // It would have been logged that the containers were not listed within two seconds.
    scene.service.stop();
    let log = scene.service.stderr();
    assert!(!log.contains("unused images not counted"), "{log}");
}
