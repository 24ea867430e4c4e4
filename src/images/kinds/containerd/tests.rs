//! The count of names and images compared with prost's, and with the rules in plain words.

use std::collections::{BTreeMap, BTreeSet};

use lab::protobuf::{Disorder, framed, pieces};
use proptest::{collection::vec, prelude::*, sample::select};
use prost::Message;
use scan::Scanner;

use super::{
    count::{Count, MOST, Uncounted},
    named,
    v1::images::{Descriptor, Image, ListImagesResponse, Timestamp},
};
use crate::{
    answer::Registry,
    images::kinds::{name::Name, references::References},
};

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn image(name: &str, digest: &str) -> Image {
    Image {
        name: name.to_owned(),
        target: Some(Descriptor {
            media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
            digest: digest.to_owned(),
            size: 9_000,
            ..Descriptor::default()
        }),
        ..Image::default()
    }
}

fn counted<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Count<'static> {
    let mut count = Count::new(None);
    let mut scanner = Scanner::new(&mut count);
    for piece in pieces {
        scanner.feed(piece).unwrap();
    }
    scanner.finish().unwrap();
    count
}

fn counted_of(images: Vec<Image>) -> Count<'static> {
    counted([&framed(&ListImagesResponse { images }.encode_to_vec())[..]])
}

/// The registry of a name; `(none)` for those that are not for people.
fn registry(name: &str) -> String {
    let mut first = Name::default();
    if !is_generated(name) {
        first.give(&name.as_bytes()[..name.len().min(Name::WANTED)]);
    }
    match first.registry() {
        Registry::Host(host) => host.to_owned(),
        Registry::Invalid => "(invalid)".to_owned(),
        Registry::None => "(none)".to_owned(),
    }
}

fn is_generated(name: &str) -> bool {
    regex::Regex::new("(?s)^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}|[^/:@]*@.*)$")
        .unwrap()
        .is_match(name)
}

fn has_tag(name: &str) -> bool {
    let pattern = regex::Regex::new("(?s)^[^@]*:[^/@]*(@.*)?$").unwrap();
    pattern.is_match(name) && !is_generated(name)
}

/// The names of each image, in the order of the list.
fn by_digest(images: &[Image]) -> BTreeMap<&str, Vec<&str>> {
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for image in images {
        let digest = image.target.as_ref().map_or("", |target| &target.digest);
        names.entry(digest).or_default().push(&image.name);
    }
    names
}

fn any_image() -> impl Strategy<Value = Image> {
    let name = prop_oneof![
        3 => "(docker\\.io|quay\\.io|localhost:5000)/[ab](:[12])?(@sha256:[0f]{4})?",
        1 => "[a-c]{0,2}",
        1 => "sha256:[0f]{64}",
        1 => "moby-dangling@sha256:[0f]{4}",
        1 => ".{0,40}",
        1 => ".{250,300}:1",
    ];
    let labels = vec(("[a-z]{1,8}", ".{0,20}"), 0..3);
    let digest = prop_oneof![4 => "sha256:[0-3]", 1 => Just(String::new()), 1 => ".{0,140}"];
    let annotations = vec(("[a-z]{1,8}", ".{0,20}"), 0..3);
    let seconds = select(vec![
        i64::MIN,
        -62_135_596_800,
        0,
        1,
        5_000,
        253_402_300_799,
        i64::MAX,
    ]);
    (
        name,
        labels,
        proptest::option::of((digest, annotations)),
        seconds,
    )
        .prop_map(|(name, labels, target, seconds)| Image {
            name,
            labels: labels.into_iter().collect(),
            target: target.map(|(digest, annotations)| Descriptor {
                annotations: annotations.into_iter().collect(),
                ..image("", &digest).target.unwrap()
            }),
            created_at: (seconds != 0).then_some(Timestamp { seconds }),
            updated_at: Some(Timestamp { seconds: 7 }),
        })
}

proptest! {
    #[test]
    fn the_count_is_what_prost_decodes_however_it_is_cut(
        images in vec(any_image(), 0..12),
        disorder in Disorder::any(10..1_000_u32),
        lengths in vec(1_usize..500, 0..20),
    ) {
        let list = disorder.of(&ListImagesResponse { images }.encode_to_vec());
        let images = ListImagesResponse::decode(&list[..]).unwrap().images;
        let body = framed(&list);
        let Count { contents, uncounted, .. } = counted(pieces(&body, &lengths));

        prop_assert_eq!(uncounted, None);
        prop_assert_eq!(contents.names, Some(images.len() as u64));
        prop_assert_eq!(contents.size_bytes, None);
        prop_assert_eq!(contents.largest_bytes, None);
        prop_assert_eq!(contents.pinned, None);
        let names = by_digest(&images);
        prop_assert_eq!(contents.images, Some(names.len() as u64));
        let untagged = names.values().filter(|names| !names.iter().any(|name| has_tag(name)));
        prop_assert_eq!(contents.untagged, Some(untagged.count() as u64));
        let mut registries: BTreeMap<String, u64> = BTreeMap::new();
        for names in names.values() {
            let known = names.iter().map(|name| registry(name)).find(|registry| registry != "(none)");
            *registries.entry(known.unwrap_or_else(|| "(none)".to_owned())).or_default() += 1;
        }
        let counts = contents.registries.counts().map(|(name, count)| (name.to_owned(), count));
        prop_assert_eq!(counts.collect::<BTreeMap<_, _>>(), registries);
        let times = images.iter().filter_map(|image| image.created_at).map(|time| time.seconds);
        let times: BTreeSet<i64> = times.filter(|time| (1..=253_402_300_799).contains(time)).collect();
        prop_assert_eq!(contents.oldest_seconds, times.first().copied());
        prop_assert_eq!(contents.newest_seconds, times.last().copied());
    }
}

#[test]
fn an_image_is_unused_if_no_container_refers_to_one_of_its_names_and_it_is_not_pinned() {
    let pinned = |image: Image, value: &str| Image {
        labels: [("io.cri-containerd.pinned".to_owned(), value.to_owned())].into(),
        ..image
    };
    let images = vec![
        image("a:1", "sha256:0a"),
        image("a:2", "sha256:0a"),
        image("b:1", "sha256:0b"),
        image("b:2", "sha256:0b"),
        image("c:1", "sha256:0c"),
        pinned(image("d:1", "sha256:0d"), "pinned"),
        pinned(image("e:1", "sha256:0e"), "no"),
    ];
    let unused = |references: Option<&[&str]>| {
        let references =
            references.map(|names| References::to(names.iter().map(|name| name.as_bytes())));
        let mut count = Count::new(references.as_ref());
        let body = framed(
            &ListImagesResponse {
                images: images.clone(),
            }
            .encode_to_vec(),
        );
        let mut scanner = Scanner::new(&mut count);
        scanner.feed(&body).unwrap();
        count.contents.unused
    };
    assert_eq!(unused(None), None);
    assert_eq!(unused(Some(&[])), Some(4));
    assert_eq!(
        unused(Some(&["a:2", "a:1", "c:1", "removed:1", "sha256:0e"])),
        Some(2)
    );
    assert_eq!(unused(Some(&["a:1", "b:2", "c:1", "d:1", "e:1"])), Some(0));
}

#[test]
fn an_image_is_tagged_if_one_of_its_names_has_a_tag() {
    let untagged = |names: &[&str]| {
        let images = names.iter().map(|name| image(name, DIGEST));
        counted_of(images.collect()).contents.untagged == Some(1)
    };
    assert!(!untagged(&["docker.io/library/a:1"]));
    assert!(!untagged(&["a:1", DIGEST]));
    assert!(!untagged(&[DIGEST, "moby-dangling@sha256:00", "a:1"]));
    assert!(!untagged(&["localhost:5000/a:1@sha256:00"]));
    assert!(!untagged(&["sha256:latest"]));
    for name in [
        DIGEST,
        "moby-dangling@sha256:00",
        "docker.io/library/a@sha256:00",
        "localhost:5000/a@sha256:00",
        "localhost:5000/a",
        "a",
        "",
    ] {
        assert!(untagged(&[name]), "{name}");
    }
}

#[test]
fn an_image_counts_under_the_registry_of_its_first_name_that_has_one() {
    let registries = |names: &[&str]| {
        let images = names.iter().map(|name| image(name, DIGEST));
        let contents = counted_of(images.collect()).contents;
        let counts = contents.registries.counts();
        counts
            .map(|(name, count)| format!("{name} {count}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(registries(&[DIGEST]), ["(none) 1"]);
    for word in ["moby-dangling", "overlayfs", "import-2024-01-31"] {
        assert_eq!(registries(&[&format!("{word}@sha256:00")]), ["(none) 1"]);
    }
    assert_eq!(registries(&["a/b@sha256:00"]), ["docker.io 1"]);
    assert_eq!(registries(&[DIGEST, "quay.io/a:1"]), ["quay.io 1"]);
    assert_eq!(registries(&["a:1", "quay.io/a:1"]), ["docker.io 1"]);
}

#[test]
fn more_images_than_fit_are_not_counted_but_their_names_are() {
    let list = |images: usize| {
        let images = (0..images).map(|number| Image {
            created_at: Some(Timestamp { seconds: 5 }),
            ..image(
                &format!("quay.io/a:{number}"),
                &format!("sha256:{number:064x}"),
            )
        });
        counted_of(images.collect())
    };
    let full = list(MOST);
    assert_eq!(full.uncounted, None);
    assert_eq!(full.contents.images, Some(MOST as u64));
    assert_eq!(full.contents.untagged, Some(0));
    let over = list(MOST + 5);
    assert_eq!(over.uncounted, Some(Uncounted::TooMany));
    assert_eq!(over.contents.images, None);
    assert_eq!(over.contents.untagged, None);
    assert_eq!(over.contents.registries.counts().count(), 0);
    assert_eq!(over.contents.names, Some(MOST as u64 + 5));
    assert_eq!(over.contents.newest_seconds, Some(5));
}

/// Field 3 of an image in a list, whose content is `target`.
fn with_target(target: &[u8]) -> Vec<u8> {
    let nested = |field: u8, content: &[u8]| {
        let mut bytes = vec![field << 3 | 2];
        prost::encode_length_delimiter(content.len(), &mut bytes).unwrap();
        bytes.extend_from_slice(content);
        bytes
    };
    framed(&nested(1, &nested(3, target)))
}

#[test]
fn an_image_whose_digest_cannot_be_read_is_not_counted() {
    let malformed = with_target(b"\x12\x05sha");
    assert_eq!(
        counted([&malformed[..]]).uncounted,
        Some(Uncounted::Unreadable)
    );
    let digest = Descriptor {
        digest: DIGEST.to_owned(),
        ..Descriptor::default()
    };
    let filler = Descriptor {
        media_type: "a".repeat(Count::TARGET_WANTED),
        ..Descriptor::default()
    };
    let late = with_target(&[filler.encode_to_vec(), digest.encode_to_vec()].concat());
    let count = counted([&late[..]]);
    assert_eq!(count.uncounted, Some(Uncounted::Unreadable));
    assert_eq!(
        (count.contents.images, count.contents.names),
        (None, Some(1))
    );
    let early = with_target(&[digest.encode_to_vec(), filler.encode_to_vec()].concat());
    assert_eq!(counted([&early[..]]).contents.images, Some(1));
}

#[test]
fn the_tag_of_the_longest_name_in_a_database_is_found() {
    let length = Count::NAME_WANTED;
    let name = format!("quay.io/{}:1", "a".repeat(length - 10));
    assert_eq!(name.len(), length);
    assert_eq!(
        counted_of(vec![image(&name, DIGEST)]).contents.untagged,
        Some(0)
    );
}

#[test]
fn a_warning_names_few_namespaces() {
    let names = |count: usize| {
        (0..count)
            .map(|number| number.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(named(&names(0)), "no namespaces");
    assert_eq!(named(&names(2)), "0, 1");
    assert!(named(&names(16)).ends_with(", 15"));
    assert!(named(&names(18)).ends_with(", 15, 2 more"));
}
