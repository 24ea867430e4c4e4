//! Registries of names; the count, beside what prost makes of the same answer.

use lab::protobuf::{Disorder, framed, pieces};
use proptest::{collection::vec, prelude::*, sample::select};
use prost::Message;

use super::{Contents, Count, Image, Name, v1};
use crate::images::wire::Scanner;

fn registry(name: &str) -> String {
    let mut first = Name::default();
    first.give(&name.as_bytes()[..name.len().min(Name::WANTED)]);
    first.registry().to_owned()
}

#[test]
fn the_registry_is_the_host_part_of_a_name() {
    assert_eq!(registry("registry.k8s.io/pause:3.9"), "registry.k8s.io");
    assert_eq!(registry("localhost:5000/a/b:1"), "localhost:5000");
    assert_eq!(registry("localhost/a@sha256:00"), "localhost");
    assert_eq!(registry("[::1]:5000/a"), "[::1]:5000");
}

#[test]
fn a_name_without_a_host_is_docker_hubs() {
    assert_eq!(registry("library/busybox:1"), "docker.io");
    assert_eq!(registry("busybox:1.36"), "docker.io");
    assert_eq!(registry("sha256:00"), "docker.io");
}

#[test]
fn a_host_is_the_same_in_capitals_and_a_name_with_capitals_is_one() {
    assert_eq!(registry("Registry.K8s.IO/pause:3.9"), "registry.k8s.io");
    assert_eq!(registry("[2001:DB8::1]:5000/a"), "[2001:db8::1]:5000");
    assert_eq!(registry("LocalHost/a:1"), "localhost");
    assert_eq!(registry("Registry/a:1"), "registry");
    assert_eq!(registry("registry/a:V1"), "docker.io");
    assert_eq!(registry("\u{c4}.example/a"), "\u{c4}.example");
}

#[test]
fn what_docker_hub_was_called_once_is_docker_hub_and_its_servers_are_not() {
    assert_eq!(registry("index.docker.io/library/busybox:1"), "docker.io");
    assert_eq!(registry("Index.Docker.io/busybox"), "docker.io");
    assert_eq!(registry("DOCKER.IO/busybox"), "docker.io");
    for other in ["registry-1.docker.io", "index.docker.io:443"] {
        assert_eq!(registry(&format!("{other}/library/busybox:1")), other);
    }
}

#[test]
fn a_host_that_cannot_be_one_has_a_name_of_its_own() {
    assert_eq!(
        registry(&format!("{}.example/x", "a".repeat(300))),
        "invalid"
    );
    assert_eq!(registry("a\nb.example/x"), "invalid");
}

/// As far as prost reads it the whole list, which the scanner never has.
fn counted_by_prost(lists: &[Vec<u8>]) -> Contents {
    let mut contents = Contents::with_tags_and_pins();
    for list in lists {
        for image in v1::ListImagesResponse::decode(&list[..]).unwrap().images {
            let given = |name: &&String| !name.is_empty();
            let tag = image.repo_tags.iter().find(given);
            let name = tag.or(image.repo_digests.iter().find(given));
            contents.add(Image {
                size_bytes: image.size,
                imported_seconds: None,
                tagged: Some(tag.is_some()),
                pinned: Some(image.pinned),
                registry: name.map(|name| registry(name)).as_deref(),
            });
        }
    }
    contents
}

fn counted_by_scanner<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Contents, u64) {
    let mut count = Count::new();
    let mut scanner = Scanner::new(&mut count);
    for piece in pieces {
        scanner.feed(piece).unwrap();
    }
    let received = scanner.finish().unwrap();
    (count.contents, received.messages)
}

/// Names as registries have them, and others.
fn name() -> impl Strategy<Value = String> {
    let host = select(vec![
        "",
        "registry.k8s.io/",
        "localhost/",
        "ghcr.io:443/",
        "Quay.IO/",
        "index.docker.io/",
        "library/",
    ]);
    let rest = prop_oneof![8 => ".{0,40}", 1 => ".{250,300}"];
    (host, rest).prop_map(|(host, rest)| format!("{host}{rest}"))
}

fn image() -> impl Strategy<Value = v1::Image> {
    let known = (
        ".{0,80}",
        vec(name(), 0..4),
        vec(name(), 0..4),
        any::<u64>(),
        any::<bool>(),
    );
    known.prop_map(|(id, repo_tags, repo_digests, size, pinned)| v1::Image {
        id,
        repo_tags,
        repo_digests,
        size,
        pinned,
        ..v1::Image::default()
    })
}

/// An answer of any later version of CRI.
fn list() -> impl Strategy<Value = Vec<u8>> {
    let images = vec(image(), 0..6);
    (images, Disorder::any(10..1_000_u32)).prop_map(|(images, disorder)| {
        disorder.of(&v1::ListImagesResponse { images }.encode_to_vec())
    })
}

proptest! {
    #[test]
    fn the_count_is_what_prost_decodes_of_one_message_or_a_stream_however_it_is_cut(
        lists in vec(list(), 1..4),
        lengths in vec(1_usize..500, 0..20),
    ) {
        let body: Vec<u8> = lists.iter().flat_map(|list| framed(list)).collect();
        let (contents, messages) = counted_by_scanner(pieces(&body, &lengths));
        prop_assert_eq!(contents, counted_by_prost(&lists));
        prop_assert_eq!(messages, lists.len() as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_count_is_the_same_at_every_boundary(list in list()) {
        let body = framed(&list);
        let expected = counted_by_prost(&[list]);
        prop_assert_eq!(&counted_by_scanner(pieces(&body, &[1])).0, &expected);
        for boundary in 0..=body.len() {
            let (head, tail) = body.split_at(boundary);
            let (contents, _) = counted_by_scanner([head, tail].into_iter());
            prop_assert_eq!(&contents, &expected);
        }
    }
}
