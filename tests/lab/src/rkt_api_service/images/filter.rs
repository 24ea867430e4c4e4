//! Which images a request's filters choose, as rkt does it.

use crate::rkt_api_service::v1alpha::{Image, ImageFilter, KeyValue};

/// Whether the image satisfies any of the filters, or there is none.
pub(super) fn lists(filters: &[ImageFilter], image: &Image) -> bool {
    filters.is_empty() || filters.iter().any(|filter| satisfies(filter, image))
}

fn satisfies(filter: &ImageFilter, image: &Image) -> bool {
    let name = image.name.as_str();
    let base_name = name.rsplit('/').next().unwrap_or(name);
    any_of(&filter.ids, |id| id == image.id)
        && any_of(&filter.full_names, |full_name| full_name == name)
        && any_of(&filter.prefixes, |prefix| name.starts_with(prefix))
        && any_of(&filter.base_names, |wanted| wanted == base_name)
        && any_of(&filter.keywords, |keyword| name.contains(keyword))
        && all_of(&filter.labels, &image.labels)
        && all_of(&filter.annotations, &image.annotations)
        && (filter.imported_after <= 0 || image.import_timestamp > filter.imported_after)
        && (filter.imported_before <= 0 || image.import_timestamp < filter.imported_before)
}

fn any_of(wanted: &[String], holds: impl Fn(&str) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(|wanted| holds(wanted))
}

fn all_of(wanted: &[KeyValue], present: &[KeyValue]) -> bool {
    wanted.iter().all(|wanted| present.contains(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, value: &str) -> KeyValue {
        KeyValue {
            key: key.into(),
            value: value.into(),
        }
    }

    fn etcd() -> Image {
        Image {
            id: "sha512-aa".into(),
            name: "coreos.com/etcd".into(),
            import_timestamp: 100,
            labels: vec![pair("os", "linux"), pair("arch", "amd64")],
            annotations: vec![pair("created", "today")],
            ..Image::default()
        }
    }

    #[test]
    fn each_condition_counts() {
        let strings = |text: &str| vec![text.to_owned()];
        type Condition = fn(&mut ImageFilter, Vec<String>);
        let cases: [(Condition, &str, &str); 5] = [
            (|filter, value| filter.ids = value, "sha512-aa", "sha512-a"),
            (
                |filter, value| filter.full_names = value,
                "coreos.com/etcd",
                "etcd",
            ),
            (
                |filter, value| filter.prefixes = value,
                "coreos.com/",
                "etcd",
            ),
            (
                |filter, value| filter.base_names = value,
                "etcd",
                "coreos.com",
            ),
            (
                |filter, value| filter.keywords = value,
                "os.com/e",
                "flannel",
            ),
        ];
        for (condition, right, wrong) in cases {
            let mut filter = ImageFilter::default();
            condition(&mut filter, strings(right));
            assert!(satisfies(&filter, &etcd()), "{filter:?}");
            condition(&mut filter, strings(wrong));
            assert!(!satisfies(&filter, &etcd()), "{filter:?}");
        }
    }

    #[test]
    fn all_labels_and_annotations_must_be_there() {
        let filter = |labels: Vec<KeyValue>, annotations: Vec<KeyValue>| ImageFilter {
            labels,
            annotations,
            ..ImageFilter::default()
        };
        assert!(satisfies(
            &filter(vec![pair("arch", "amd64"), pair("os", "linux")], vec![]),
            &etcd()
        ));
        assert!(!satisfies(
            &filter(vec![pair("arch", "amd64"), pair("os", "bsd")], vec![]),
            &etcd()
        ));
        assert!(!satisfies(
            &filter(vec![], vec![pair("created", "yesterday")]),
            &etcd()
        ));
    }

    #[test]
    fn import_times_are_bounds_that_exclude_themselves() {
        let filter = |imported_after, imported_before| ImageFilter {
            imported_after,
            imported_before,
            ..ImageFilter::default()
        };
        assert!(satisfies(&filter(99, 101), &etcd()));
        assert!(!satisfies(&filter(100, 0), &etcd()));
        assert!(!satisfies(&filter(0, 100), &etcd()));
    }

    #[test]
    fn one_of_the_filters_is_enough() {
        let never = ImageFilter {
            ids: vec!["sha512-bb".into()],
            ..ImageFilter::default()
        };
        assert!(lists(&[], &etcd()));
        assert!(!lists(std::slice::from_ref(&never), &etcd()));
        assert!(lists(&[never, ImageFilter::default()], &etcd()));
    }
}
