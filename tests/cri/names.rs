//! Names of images, and the registries in them, however odd they are.

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
fn a_name_without_a_host_is_of_docker_hub() {
    for name in ["busybox:1.36", "library/busybox:1.36"] {
        assert_eq!(registry_of(Image::tagged(name)), ["docker.io"], "{name}");
    }
}

#[test]
fn names_of_one_registry_in_other_letters_are_of_one_registry() {
    let images = [
        "Quay.io/a:1",
        "quay.IO/b:1",
        "quay.io/c:1",
        "index.docker.io/a/b:1",
        "busybox:1",
        "DOCKER.io/a/c:1",
    ];
    let scrape = Scene::of(Images::listed(images.map(Image::tagged))).ask();
    let mut told = registries(&scrape);
    told.sort();
    let right = [("docker.io", 3), ("quay.io", 3)];
    assert_eq!(told, right.map(|(host, images)| (host.to_owned(), images)));
}

#[test]
fn an_image_without_a_name_is_counted_as_of_none() {
    assert_eq!(registry_of(Image::untagged()), ["(none)"]);
}

/// As cri-dockerd passes on what Docker says of an image without a name.
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
fn an_image_with_a_placeholder_for_its_tag_is_of_its_digests_registry() {
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
fn a_placeholder_before_a_real_tag_is_passed_over() {
    let image = Image {
        repo_tags: vec![b"<none>:<none>".to_vec(), b"example.org/a:1".to_vec()],
        repo_digests: vec![b"<none>@<none>".to_vec()],
        ..Image::untagged()
    };
    assert_eq!(untagged(image.clone()), Some(0.0));
    assert_eq!(registry_of(image), ["example.org"]);
}

#[test]
fn registries_called_like_our_words_do_not_collide_with_them() {
    let mut images: Vec<Image> = (0..100)
        .map(|ordinal| Image::tagged(format!("r{ordinal:02}.example.org/a:1")))
        .collect();
    for (host, times) in [("Other", 3), ("Invalid", 4), ("None", 5)] {
        let image = Image::tagged(format!("{host}/a:1"));
        images.extend(vec![image; times]);
    }
    // What sorts last is added up, so that these are named.
    images.retain(|image| !image.repo_tags[0].starts_with(b"r9"));
    images.extend([Image::tagged("(other)/a:1"), Image::untagged()]);
    let total = images.len() as u64;
    let scrape = Scene::of(Images::listed(images)).ask();
    let told: std::collections::BTreeMap<_, _> = registries(&scrape).into_iter().collect();
    for (label, images) in [
        ("other", 3),
        ("invalid", 4),
        ("none", 5),
        ("(invalid)", 1),
        ("(none)", 1),
    ] {
        assert_eq!(told.get(label), Some(&images), "{label}: {told:?}");
    }
    assert!(told.contains_key("(other)"), "{told:?}");
    assert_eq!(told.values().sum::<u64>(), total);
    assert_eq!(number(&scrape, "imagestore_images"), Some(total as f64));
}

#[test]
fn an_image_with_nothing_but_a_digest_is_untagged() {
    let image = Image::with_digest("example.org/a@sha256:00");
    assert_eq!(untagged(image), Some(1.0));
}

#[test]
fn an_image_whose_only_tag_is_empty_is_untagged_and_of_its_digests_registry() {
    let image = Image {
        repo_tags: vec![Vec::new()],
        ..Image::with_digest("example.org/a@sha256:00")
    };
    assert_eq!(untagged(image.clone()), Some(1.0));
    assert_eq!(registry_of(image), ["example.org"]);
}

#[test]
fn an_empty_tag_before_a_real_one_is_passed_over() {
    let image = Image {
        repo_tags: vec![Vec::new(), b"example.org/a:1".to_vec()],
        ..Image::untagged()
    };
    assert_eq!(untagged(image.clone()), Some(0.0));
    assert_eq!(registry_of(image), ["example.org"]);
}

#[test]
fn a_tag_of_10_kilobytes_is_of_its_hosts_registry() {
    let image = Image::tagged(format!("example.org/{}:1", "a".repeat(10_000)));
    assert_eq!(registry_of(image), ["example.org"]);
}

#[test]
fn a_host_of_10_kilobytes_is_no_label() {
    let image = Image::tagged(format!("{}.example.org/a:1", "a".repeat(10_000)));
    assert_eq!(registry_of(image), ["(invalid)"]);
}

#[test]
fn a_host_that_is_not_text_is_no_label() {
    assert_eq!(
        registry_of(Image::tagged(b"\xff\xfe.\xc3/a:1")),
        ["(invalid)"]
    );
}

#[test]
fn what_is_not_text_behind_the_host_is_not_looked_at() {
    assert_eq!(
        registry_of(Image::tagged(b"example.org/\xff\xfe:1")),
        ["example.org"]
    );
}

#[test]
fn a_host_with_control_characters_is_no_label() {
    for name in ["exa\nmple.org/a:1", "\x1b[31m.example.org/a:1", "\0.org/a"] {
        assert_eq!(registry_of(Image::tagged(name)), ["(invalid)"], "{name:?}");
    }
}

#[test]
fn a_host_with_characters_that_no_host_has_is_no_label() {
    for name in [
        r#"a"\.example.org/a:1"#,
        "\u{c4}.example.org/a:1",
        "a b.example.org/a",
        "(other)/x",
        "a.example.org:port/a",
        ":5000/a",
        "/a",
    ] {
        assert_eq!(registry_of(Image::tagged(name)), ["(invalid)"], "{name:?}");
    }
}

#[test]
fn ten_thousand_tags_are_one_image_of_one_registry() {
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
    let mut told = registries(&scrape);
    told.sort();
    let right = [("(none)", 1), ("a.example.org", 1), ("b.example.org", 1)];
    assert_eq!(told, right.map(|(host, images)| (host.to_owned(), images)));
}

#[test]
fn a_hundred_thousand_registries_fill_neither_the_memory_nor_the_scrape() {
    const MANY: usize = 100_000;
    /// What the names alone would need.
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
    let told = registries(&scrape);
    assert_eq!(told.len(), 65);
    assert_eq!(
        told.iter().map(|(_, images)| images).sum::<u64>(),
        MANY as u64
    );
    let grown = scene.service.peak_memory().saturating_sub(before);
    assert!(grown < MOST_MEMORY, "{grown} bytes more");
}
