//! Image names, and the registries in them, including malformed ones.

use lab::cri_runtime::{Image, Images};

use super::{Scene, number, registries};

/// The registries of a store with one image.
#[track_caller]
fn registry_of(image: Image) -> Vec<String> {
    let scrape = Scene::of(Images::listed([image])).ask();
    assert_eq!(number(&scrape, "imagestore_images"), Some(1.0));
    registries(&scrape)
        .into_iter()
        .map(|(registry, _)| registry)
        .collect()
}

fn untagged(image: Image) -> Option<f64> {
    let scrape = Scene::of(Images::listed([image])).ask();
    number(&scrape, "imagestore_untagged_images")
}

#[test]
fn the_registry_is_the_host_of_the_first_tag() {
    let image = Image {
        repo_tags: vec![
            b"registry.k8s.io/pause:3.9".to_vec(),
            b"quay.io/pause:3.9".to_vec(),
        ],
        repo_digests: vec![b"example.org/pause@sha256:00".to_vec()],
        ..Image::untagged()
    };
    assert_eq!(registry_of(image), ["registry.k8s.io"]);
}

#[test]
fn without_a_tag_the_registry_is_the_host_of_the_digest() {
    let image = Image::with_digest("example.org:5000/a/b@sha256:00");
    assert_eq!(registry_of(image), ["example.org:5000"]);
}

#[test]
fn the_case_and_docker_hubs_aliases_do_not_matter_for_the_registry() {
    let images = [
        "Quay.io/a:1",
        "quay.IO/b:1",
        "quay.io/c:1",
        "index.docker.io/a/b:1",
        "busybox:1",
        "DOCKER.io/a/c:1",
    ];
    let scrape = Scene::of(Images::listed(images.map(Image::tagged))).ask();
    let mut reported = registries(&scrape);
    reported.sort();
    let expected = [("docker.io", 3), ("quay.io", 3)];
    assert_eq!(
        reported,
        expected.map(|(host, images)| (host.to_owned(), images))
    );
}

#[test]
fn an_image_without_a_name_has_the_registry_none() {
    assert_eq!(registry_of(Image::untagged()), ["(none)"]);
}

/// An image without a name, as cri-dockerd passes it on from Docker.
fn placeholders() -> Image {
    Image {
        repo_digests: vec![b"<none>@<none>".to_vec()],
        ..Image::tagged("<none>:<none>")
    }
}

#[test]
fn placeholders_are_neither_tags_nor_names() {
    assert_eq!(untagged(placeholders()), Some(1.0));
    assert_eq!(registry_of(placeholders()), ["(none)"]);
    for tag in ["<none>", "quay.io/a:<none>", "<none>@sha256:00"] {
        assert_eq!(untagged(Image::tagged(tag)), Some(1.0), "{tag}");
        assert_eq!(registry_of(Image::tagged(tag)), ["(none)"], "{tag}");
    }
}

#[test]
fn an_image_with_a_placeholder_as_its_tag_has_the_registry_of_its_digest() {
    for tag in ["<none>:<none>", "example.org/a:<none>"] {
        let image = Image {
            repo_digests: vec![b"quay.io/a@sha256:00".to_vec()],
            ..Image::tagged(tag)
        };
        assert_eq!(untagged(image.clone()), Some(1.0), "{tag}");
        assert_eq!(registry_of(image), ["quay.io"], "{tag}");
    }
}

#[test]
fn a_placeholder_before_a_real_tag_is_skipped() {
    let image = Image {
        repo_tags: vec![b"<none>:<none>".to_vec(), b"example.org/a:1".to_vec()],
        repo_digests: vec![b"<none>@<none>".to_vec()],
        ..Image::untagged()
    };
    assert_eq!(untagged(image.clone()), Some(0.0));
    assert_eq!(registry_of(image), ["example.org"]);
}

#[test]
fn registries_named_other_invalid_or_none_do_not_collide_with_our_labels() {
    let mut images: Vec<Image> = (0..100)
        .map(|ordinal| Image::tagged(format!("r{ordinal:02}.example.org/a:1")))
        .collect();
    for (host, times) in [("Other", 3), ("Invalid", 4), ("None", 5)] {
        let image = Image::tagged(format!("{host}/a:1"));
        images.extend(vec![image; times]);
    }
    // The registries that sort last are added up, so these ones are named.
    images.retain(|image| !image.repo_tags[0].starts_with(b"r9"));
    images.extend([Image::tagged("(other)/a:1"), Image::untagged()]);
    let total = images.len() as u64;
    let scrape = Scene::of(Images::listed(images)).ask();
    let reported: std::collections::BTreeMap<_, _> = registries(&scrape).into_iter().collect();
    for (label, images) in [
        ("other", 3),
        ("invalid", 4),
        ("none", 5),
        ("(invalid)", 1),
        ("(none)", 1),
    ] {
        assert_eq!(reported.get(label), Some(&images), "{label}: {reported:?}");
    }
    assert!(reported.contains_key("(other)"), "{reported:?}");
    assert_eq!(reported.values().sum::<u64>(), total);
    assert_eq!(number(&scrape, "imagestore_images"), Some(total as f64));
}

#[test]
fn an_image_with_only_a_digest_is_untagged() {
    let image = Image::with_digest("example.org/a@sha256:00");
    assert_eq!(untagged(image), Some(1.0));
}

#[test]
fn an_image_whose_only_tag_is_empty_is_untagged_and_has_the_registry_of_its_digest() {
    let image = Image {
        repo_tags: vec![Vec::new()],
        ..Image::with_digest("example.org/a@sha256:00")
    };
    assert_eq!(untagged(image.clone()), Some(1.0));
    assert_eq!(registry_of(image), ["example.org"]);
}

#[test]
fn an_empty_tag_before_a_real_one_is_skipped() {
    let image = Image {
        repo_tags: vec![Vec::new(), b"example.org/a:1".to_vec()],
        ..Image::untagged()
    };
    assert_eq!(untagged(image.clone()), Some(0.0));
    assert_eq!(registry_of(image), ["example.org"]);
}

#[test]
fn a_tag_of_10_kilobytes_has_the_registry_of_its_host() {
    let image = Image::tagged(format!("example.org/{}:1", "a".repeat(10_000)));
    assert_eq!(registry_of(image), ["example.org"]);
}

#[test]
fn a_host_of_10_kilobytes_is_reported_as_invalid() {
    let image = Image::tagged(format!("{}.example.org/a:1", "a".repeat(10_000)));
    assert_eq!(registry_of(image), ["(invalid)"]);
}

#[test]
fn a_host_that_is_not_utf_8_is_reported_as_invalid() {
    assert_eq!(
        registry_of(Image::tagged(b"\xff\xfe.\xc3/a:1")),
        ["(invalid)"]
    );
}

#[test]
fn invalid_utf_8_after_the_host_is_ignored() {
    assert_eq!(
        registry_of(Image::tagged(b"example.org/\xff\xfe:1")),
        ["example.org"]
    );
}

#[test]
fn an_image_with_ten_thousand_tags_is_one_image_of_one_registry() {
    let tags = (0..10_000).map(|tag| format!("r{tag}.example.org/a:1").into_bytes());
    let image = Image {
        repo_tags: tags.collect(),
        ..Image::untagged()
    };
    assert_eq!(registry_of(image), ["r0.example.org"]);
}

#[test]
fn names_are_not_carried_over_to_the_next_image() {
    let images = [
        Image::tagged("a.example.org/a:1").pinned(),
        Image::with_digest("b.example.org/a@sha256:00"),
        Image::default(),
    ];
    let scrape = Scene::of(Images::listed(images)).ask();
    assert_eq!(number(&scrape, "imagestore_untagged_images"), Some(2.0));
    assert_eq!(number(&scrape, "imagestore_pinned_images"), Some(1.0));
    assert_eq!(
        number(&scrape, "imagestore_images_size_bytes"),
        Some(2_000.0)
    );
    let mut reported = registries(&scrape);
    reported.sort();
    let expected = [("(none)", 1), ("a.example.org", 1), ("b.example.org", 1)];
    assert_eq!(
        reported,
        expected.map(|(host, images)| (host.to_owned(), images))
    );
}

#[test]
fn a_hundred_thousand_registries_fill_neither_the_memory_nor_the_scrape() {
    const MANY: usize = 100_000;
    /// The memory that the names alone would need.
    const MOST_MEMORY: u64 = 4_400_000;
    let image = |ordinal| Image {
        id: String::new(),
        spec: None,
        ..Image::tagged(format!("{ordinal:032}.example.org/a"))
    };
    let scene = Scene::of(Images::made(MANY / 10, image));
    scene.ask();
    let before = scene.service.peak_memory();
    scene.runtime.serve_images(Images::made(MANY, image));
    let scrape = scene.ask();
    assert_eq!(number(&scrape, "imagestore_images"), Some(MANY as f64));
    let reported = registries(&scrape);
    assert_eq!(reported.len(), 65);
    assert_eq!(
        reported.iter().map(|(_, images)| images).sum::<u64>(),
        MANY as u64
    );
    let grown = scene.service.peak_memory().saturating_sub(before);
    assert!(grown < MOST_MEMORY, "{grown} bytes more");
}
