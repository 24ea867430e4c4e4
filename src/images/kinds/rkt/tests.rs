//! The count compared with prost's.

use lab::protobuf::{Disorder, framed, pieces};
use proptest::{collection::vec, prelude::*};
use prost::Message;
use scan::Scanner;

use super::{Contents, Count, v1alpha};

/// The expected count: prost decodes the whole list.
fn counted_by_prost(list: &[u8]) -> Contents {
    let images = v1alpha::ListImagesResponse::decode(list).unwrap().images;
    let times = || {
        let times = images.iter().map(|image| image.import_timestamp);
        times.filter(|time| (1..=253_402_300_799).contains(time))
    };
    let sizes = || images.iter().map(|image| image.size.max(0) as u64);
    Contents {
        images: Some(images.len() as u64),
        size_bytes: Some(sizes().fold(0, u64::saturating_add)),
        largest_bytes: sizes().max(),
        oldest_seconds: times().min(),
        newest_seconds: times().max(),
        ..Contents::default()
    }
}

fn counted_by_scanner<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Contents {
    let mut count = Count::default();
    let mut scanner = Scanner::new(&mut count);
    for piece in pieces {
        scanner.feed(piece).unwrap();
    }
    assert_eq!(scanner.finish().unwrap().messages, 1);
    count.contents
}

/// Import times, valid and invalid.
fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(0),
        Just(-62_135_596_800),
        1_400_000_000..1_900_000_000_i64,
        253_402_300_790..253_402_300_810_i64,
        any::<i64>(),
    ]
}

fn image() -> impl Strategy<Value = v1alpha::Image> {
    let text = || ".{0,80}";
    let pairs = || {
        let pair = (".{0,20}", ".{0,20}").prop_map(|(key, value)| v1alpha::KeyValue { key, value });
        vec(pair, 0..4)
    };
    let format = (any::<i32>(), text())
        .prop_map(|(r#type, version)| v1alpha::ImageFormat { r#type, version });
    (
        (proptest::option::of(format), text(), text(), text()),
        (time(), vec(any::<u8>(), 0..300), any::<i64>()),
        (pairs(), pairs()),
    )
        .prop_map(
            |(
                (base_format, id, name, version),
                (import_timestamp, manifest, size),
                (annotations, labels),
            )| v1alpha::Image {
                base_format,
                id,
                name,
                version,
                import_timestamp,
                manifest,
                size,
                annotations,
                labels,
            },
        )
}

/// An answer of any later version of rkt.
fn list() -> impl Strategy<Value = Vec<u8>> {
    let images = vec(image(), 0..6);
    (images, Disorder::any(10..1_000_u32)).prop_map(|(images, disorder)| {
        disorder.of(&v1alpha::ListImagesResponse { images }.encode_to_vec())
    })
}

proptest! {
    #[test]
    fn the_count_is_what_prost_decodes_however_the_answer_is_cut(
        list in list(),
        lengths in vec(1_usize..500, 0..20),
    ) {
        let body = framed(&list);
        prop_assert_eq!(counted_by_scanner(pieces(&body, &lengths)), counted_by_prost(&list));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_count_is_the_same_at_every_boundary(list in list()) {
        let body = framed(&list);
        let expected = counted_by_prost(&list);
        prop_assert_eq!(counted_by_scanner(pieces(&body, &[1])), expected.clone());
        for boundary in 0..=body.len() {
            let (head, tail) = body.split_at(boundary);
            prop_assert_eq!(counted_by_scanner([head, tail].into_iter()), expected.clone());
        }
    }
}
