//! Registries of names, and the count compared with prost's.

use lab::protobuf::{Disorder, framed, pieces};
use proptest::{collection::vec, prelude::*, sample::select};
use prost::Message;
use scan::{Scanner, Visitor};

use super::{Count, v1};
use crate::{
    answer::{Contents, Image},
    images::kinds::{name::Name, references::References},
};

/// The first of these that counts as a name.
fn name(names: &[String]) -> Name {
    let mut first = Name::default();
    for name in names {
        first.give(&name.as_bytes()[..name.len().min(Name::WANTED)]);
    }
    first
}

/// The expected count: prost decodes the whole list.
fn counted_by_prost(lists: &[Vec<u8>]) -> Contents {
    let mut contents = Contents::with_tags_and_pins();
    for list in lists {
        for image in v1::ListImagesResponse::decode(&list[..]).unwrap().images {
            let tag = name(&image.repo_tags);
            let tagged = tag.is_given();
            let mut name = if tagged {
                tag
            } else {
                name(&image.repo_digests)
            };
            contents.add(Image {
                size_bytes: image.size,
                imported_seconds: None,
                tagged: Some(tagged),
                pinned: Some(image.pinned),
                used: None,
                registry: Some(name.registry()),
            });
        }
    }
    contents
}

fn counted_by_scanner<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Contents, u64) {
    let mut count = Count::new(None);
    let mut scanner = Scanner::new(&mut count);
    for piece in pieces {
        scanner.feed(piece).unwrap();
    }
    let received = scanner.finish().unwrap();
    (count.contents, received.messages)
}

/// Names as registries have them, and others.
fn any_name() -> impl Strategy<Value = String> {
    let host = select(vec![
        "",
        "registry.k8s.io/",
        "localhost/",
        "ghcr.io:443/",
        "Quay.IO/",
        "index.docker.io/",
        "library/",
        "Other/",
        "(other)/",
        "<none>",
        "<none>:<none>",
        "quay.io/a:<none>",
    ]);
    let rest = prop_oneof![2 => Just(String::new()), 8 => ".{0,40}", 1 => ".{250,300}"];
    (host, rest).prop_map(|(host, rest)| format!("{host}{rest}"))
}

/// Arbitrary bytes, and names.
fn hostile_name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any_name().prop_map(String::into_bytes),
        "[a-f]{1,2}\\.example/[a-z]".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..300),
    ]
}

fn image() -> impl Strategy<Value = v1::Image> {
    let known = (
        ".{0,80}",
        vec(any_name(), 0..4),
        vec(any_name(), 0..4),
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

    #[test]
    fn an_image_is_unused_if_it_is_not_pinned_and_no_container_refers_to_its_id_or_a_digest(
        images in vec((image(), "[ab]{1,3}", vec("[ab]@[cd]", 0..3)), 0..20),
        ids in vec("[ab]{1,3}", 0..6),
        digests in vec("[ab]@[cd]", 0..3),
        lengths in vec(1_usize..500, 0..20),
    ) {
        let images = images.into_iter().map(|(image, id, mut digests)| {
            digests.extend(image.repo_digests);
            v1::Image { id, repo_digests: digests, ..image }
        });
        let images: Vec<v1::Image> = images.collect();
        let references: Vec<&String> = ids.iter().chain(&digests).collect();
        let unused = images.iter().filter(|image| {
            let mut texts = image.repo_digests.iter().chain([&image.id]);
            !image.pinned && !texts.any(|text| references.contains(&text))
        });
        let unused: Vec<u64> = unused.map(|image| image.size).collect();
        let body = framed(&v1::ListImagesResponse { images: images.clone() }.encode_to_vec());
        let known = References::to(references.iter().map(|text| text.as_bytes()));
        let mut count = Count::new(Some(&known));
        let mut scanner = Scanner::new(&mut count);
        for piece in pieces(&body, &lengths) {
            scanner.feed(piece).unwrap();
        }
        scanner.finish().unwrap();
        prop_assert_eq!(count.contents.unused, Some(unused.len() as u64));
        let bytes = unused.into_iter().fold(0, u64::saturating_add);
        prop_assert_eq!(count.contents.unused_bytes, Some(bytes));
        // Everything else is the same as without references.
        let (contents, _) = counted_by_scanner([&body[..]].into_iter());
        let without = Contents { unused: None, unused_bytes: None, ..count.contents };
        prop_assert_eq!(without, contents);
    }

    #[test]
    fn the_registries_add_up_to_the_images(
        names in vec((vec(hostile_name(), 0..3), vec(hostile_name(), 0..2)), 0..200),
    ) {
        let mut count = Count::new(None);
        for (tags, digests) in &names {
            for (field, names) in [(Count::REPO_TAGS, tags), (Count::REPO_DIGESTS, digests)] {
                for name in names {
                    let wanted = count.wanted(field).min(name.len());
                    count.bytes(field, &name[..wanted]);
                }
            }
            count.end();
        }
        let images: u64 = count.contents.registries.counts().map(|(_, images)| images).sum();
        prop_assert_eq!(images, names.len() as u64);
        prop_assert_eq!(Some(images), count.contents.images);
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
