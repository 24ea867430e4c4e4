//! Containers in real containerds, and which images they use: by the id of the image over CRI, by a name in containerd's own API.

use std::fs;

use lab::containerd::{
    Container, ContainerState, Containerd, Layer, OciImage, PAUSE_IMAGE, Release, Setup,
};
use lab::poll::eventually;

use super::UNIMPLEMENTED;

const APP: &str = "example.org/app:1";
const OTHER: &str = "example.org/other:1";

lab::with_both! {
    v2_4:
    an_image_is_used_from_the_creation_of_its_container_to_its_removal,
    containers_outlive_their_containerd,
    nothing_of_a_container_is_left_when_its_containerd_is_dropped,
    a_container_refers_to_the_id_of_its_image_whatever_its_name_means_later,
    an_image_that_is_removed_while_a_container_uses_it_is_no_longer_listed,
    the_stream_of_containers_is_the_list_if_the_release_has_it,
    a_container_of_another_namespace_refers_to_one_name_of_its_image,
}

/// A containerd with these images, of which all can run.
fn containerd_with(release: Release, names: &[&str]) -> Containerd {
    let containerd = Containerd::start_of(release);
    containerd.import(&runnable(names));
    containerd
}

fn runnable(names: &[&str]) -> Vec<OciImage> {
    let images = names.iter().copied().map(OciImage::named);
    images.map(|image| image.with(&Layer::of_pause())).collect()
}

/// The tags of unused images; the id of one without tags.
fn unused(containerd: &Containerd) -> Vec<String> {
    let images = containerd.unused_images().into_iter();
    let mut names: Vec<_> = images
        .flat_map(|image| match &image.repo_tags[..] {
            [] => vec![image.id],
            _ => image.repo_tags,
        })
        .collect();
    names.sort();
    names
}

/// The states of all containers.
fn states(containerd: &Containerd) -> Vec<ContainerState> {
    let containers = containerd.containers();
    containers.iter().map(|listed| listed.state()).collect()
}

fn an_image_is_used_from_the_creation_of_its_container_to_its_removal(release: Release) {
    let containerd = containerd_with(release, &[APP, OTHER]);
    assert_eq!(unused(&containerd), [APP, OTHER]);
    let container = containerd.create_container(APP);
    assert_eq!(states(&containerd), [ContainerState::ContainerCreated]);
    assert_eq!(unused(&containerd), [OTHER, PAUSE_IMAGE]);
    containerd.start_container(&container);
    assert_eq!(states(&containerd), [ContainerState::ContainerRunning]);
    assert_eq!(unused(&containerd), [OTHER, PAUSE_IMAGE]);
    containerd.stop_container(&container);
    assert_eq!(states(&containerd), [ContainerState::ContainerExited]);
    assert_eq!(unused(&containerd), [OTHER, PAUSE_IMAGE]);
    containerd.remove_container(&container);
    assert_eq!(states(&containerd), []);
    assert_eq!(unused(&containerd), [APP, OTHER, PAUSE_IMAGE]);

    // The sandbox still runs, and CRI does not say of which image.
    let unused = containerd.unused_images();
    let pinned = unused.iter().filter(|image| image.pinned).count();
    assert_eq!(pinned, usize::from(release != Release::Debian));
    // containerd's own API does: a sandbox is a container.
    let names: Vec<_> = containerd
        .native_containers("k8s.io")
        .into_values()
        .collect();
    assert_eq!(names, [PAUSE_IMAGE]);
}

fn containers_outlive_their_containerd(release: Release) {
    let mut containerd = containerd_with(release, &[APP, OTHER]);
    let container = containerd.create_container(APP);
    containerd.start_container(&container);
    containerd.stop();
    containerd.launch(Setup::Plain);
    containerd.wait_until_ready();
    assert_eq!(states(&containerd), [ContainerState::ContainerRunning]);
    assert_eq!(unused(&containerd), [OTHER, PAUSE_IMAGE]);
}

fn nothing_of_a_container_is_left_when_its_containerd_is_dropped(release: Release) {
    let mut containerd = containerd_with(release, &[APP]);
    let container = containerd.create_container(APP);
    containerd.start_container(&container);
    let processes = || {
        let numbers = fs::read_dir("/proc").expect("it is mounted").flatten();
        let cgroups =
            numbers.filter_map(|number| fs::read_to_string(number.path().join("cgroup")).ok());
        cgroups.filter(|cgroup| cgroup.contains(&container)).count()
    };
    assert_eq!(processes(), 1);
    containerd.stop();
    assert_eq!(processes(), 1);
    let folder = containerd.socket().with_file_name("");
    assert!(folder.exists());
    drop(containerd);
    assert_eq!(processes(), 0);
    assert!(!folder.exists());
}

fn a_container_refers_to_the_id_of_its_image_whatever_its_name_means_later(release: Release) {
    let [by_tag, by_id, moved] =
        ["by-tag", "by-id", "moved"].map(|name| format!("example.org/{name}:1"));
    let containerd = containerd_with(release, &[&by_tag, &by_id, &moved]);
    let id_of = |name: &String| {
        let images = containerd.images().expect("containerd serves CRI");
        let named = images
            .into_iter()
            .find(|image| image.repo_tags.contains(name));
        named.expect("it was imported").id
    };
    let ids = [&by_tag, &by_id, &moved].map(id_of);
    let requested = [&by_tag, &ids[1], &moved];
    let containers = requested.map(|image| containerd.create_container(image));
    containerd.remove_name(&by_tag);
    containerd.import(&[OciImage::named(&moved)]);
    eventually("the removal of the tag", || {
        let images = containerd.images().ok()?;
        let tagged = images.iter().any(|image| image.repo_tags.contains(&by_tag));
        (!tagged).then_some(())
    });

    let listed = containerd.containers();
    for ((container, requested), id) in containers.iter().zip(requested).zip(&ids) {
        let listed = listed.iter().find(|listed| listed.id == *container);
        let listed = listed.expect("it was not removed");
        assert_eq!(listed.image_ref, *id);
        assert_eq!(
            listed.image.as_ref().map(|image| &image.image),
            Some(requested)
        );
        match release {
            Release::Debian => assert_eq!(listed.image_id, ""),
            Release::V2_4(_) => assert_eq!(listed.image_id, *id),
        }
    }
    assert_eq!(unused(&containerd), [moved.as_str(), PAUSE_IMAGE]);
    assert_ne!(id_of(&moved), ids[2]);
}

fn an_image_that_is_removed_while_a_container_uses_it_is_no_longer_listed(release: Release) {
    let containerd = containerd_with(release, &[APP, OTHER]);
    let container = containerd.create_container(APP);
    containerd.start_container(&container);
    let id = containerd.containers()[0].image_ref.clone();
    containerd.remove_name(APP);
    containerd.remove_name(&id);
    containerd.wait_for_images(2);
    assert_eq!(containerd.containers()[0].image_ref, id);
    assert_eq!(states(&containerd), [ContainerState::ContainerRunning]);
    assert_eq!(unused(&containerd), [OTHER, PAUSE_IMAGE]);
}

fn the_stream_of_containers_is_the_list_if_the_release_has_it(release: Release) {
    let containerd = containerd_with(release, &[APP, OTHER]);
    for image in [APP, OTHER] {
        containerd.create_container(image);
    }
    let mut listed = containerd.containers();
    assert_eq!(listed.len(), 2);
    let by_id = |container: &Container| container.id.clone();
    listed.sort_by_key(by_id);
    let streamed = containerd.streamed_containers().map(|mut streamed| {
        streamed.sort_by_key(by_id);
        streamed
    });
    match release {
        Release::Debian => {
            let code = streamed.map_err(|status| status.code() as i32);
            assert_eq!(code, Err(UNIMPLEMENTED));
        }
        Release::V2_4(_) => assert_eq!(streamed.expect("2.4 streams"), listed),
    }
}

fn a_container_of_another_namespace_refers_to_one_name_of_its_image(release: Release) {
    const ALIAS: &str = "example.org/alias:1";
    let containerd = Containerd::start_of(release);
    containerd.import_into("other", &[APP, OTHER].map(OciImage::named));
    containerd.ctr_in("other", &["images", "tag", APP, ALIAS]);
    // An image in a line, with its names.
    let unused = || {
        let images = containerd.unused_native_images("other").into_iter();
        Vec::from_iter(images.map(|names| names.join(" ")))
    };
    assert_eq!(unused(), ["example.org/alias:1 example.org/app:1", OTHER]);
    containerd.create_native_container("other", ALIAS, "first");
    containerd.create_native_container("other", OTHER, "second");
    let containers = containerd.native_containers("other");
    assert_eq!(Vec::from_iter(containers.values()), [ALIAS, OTHER]);
    assert_eq!(unused(), [""; 0]);
    containerd.ctr_in("other", &["containers", "rm", "second"]);
    assert_eq!(unused(), [OTHER]);

    // Without the name, nothing connects the container with its image.
    containerd.ctr_in("other", &["images", "rm", ALIAS]);
    assert_eq!(unused(), [APP, OTHER]);
    assert_eq!(containerd.native_containers("other")["first"], ALIAS);
    assert!(containerd.containers().is_empty());
    assert!(containerd.native_containers("k8s.io").is_empty());
}
