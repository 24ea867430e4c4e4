//! Throughput of the scanner and of prost on responses in memory.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lab::{
    protobuf::framed,
    rkt_api_service::v1alpha::{Image, ImageFormat, KeyValue, ListImagesResponse},
};
use prost::Message;
use scan::{Scanner, Visitor};

const IMAGES: usize = 10_000;

/// Sizes of pieces in bytes: typical pieces of HTTP/2, and the whole response at once.
const PIECES: [usize; 3] = [1024, 16 * 1024, usize::MAX];

/// Evaluates the same fields as the service's own visitor for rkt.
#[derive(Default)]
struct Sums {
    images: u64,
    size: u64,
    newest: u64,
}

impl Visitor for Sums {
    fn integer(&mut self, field: u32, value: u64) {
        match field {
            5 => self.newest = self.newest.max(value),
            7 => self.size += value,
            _ => {}
        }
    }

    fn end(&mut self) {
        self.images += 1;
    }
}

fn list() -> Vec<u8> {
    let pair = |key: &str, value: &str| KeyValue {
        key: key.into(),
        value: value.into(),
    };
    let image = |ordinal: usize| Image {
        base_format: Some(ImageFormat {
            r#type: 1,
            version: "0.8.11".into(),
        }),
        id: format!("sha512-{ordinal:064x}"),
        name: format!("example.org/service-{ordinal:06}"),
        version: "1.2.3".into(),
        import_timestamp: 1_500_000_000 + ordinal as i64,
        manifest: Vec::new(),
        size: 2_000_000 + ordinal as i64,
        annotations: vec![pair("created", "2016-05-20T15:00:00Z")],
        labels: vec![pair("version", "1.2.3"), pair("os", "linux")],
    };
    let images = (0..IMAGES).map(image).collect();
    ListImagesResponse { images }.encode_to_vec()
}

fn responses(criterion: &mut Criterion) {
    let list = list();
    let body = framed(&list);
    let mut group = criterion.benchmark_group("10,000 images of rkt");
    group.throughput(Throughput::Bytes(body.len() as u64));
    for pieces in PIECES {
        let name = BenchmarkId::new("scanner, pieces of", pieces.min(body.len()));
        group.bench_with_input(name, &pieces, |bencher, &pieces| {
            bencher.iter(|| {
                let mut sums = Sums::default();
                let mut scanner = Scanner::new(&mut sums);
                for piece in black_box(&body).chunks(pieces) {
                    scanner.feed(piece).expect("the response is well-formed");
                }
                scanner.finish().expect("the response is complete");
                assert_eq!(sums.images, IMAGES as u64);
                (sums.size, sums.newest)
            });
        });
    }
    group.bench_function("prost", |bencher| {
        bencher.iter(|| {
            let list = ListImagesResponse::decode(black_box(&list[..])).expect("it is a list");
            let size: i64 = list.images.iter().map(|image| image.size).sum();
            let newest = list.images.iter().map(|image| image.import_timestamp).max();
            assert_eq!(list.images.len(), IMAGES);
            (size, newest)
        });
    });
    group.finish();
}

criterion_group!(benches, responses);
criterion_main!(benches);
