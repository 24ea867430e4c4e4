use super::{Kept, RecordError};
use crate::{
    answer::{Answer, Contents, Registries, Registry},
    metrics::{Metrics, Query, StoreMetrics},
};

const HERE: &str = "unix:///run/here.sock";
const THERE: &str = "unix:///run/there.sock";

fn metrics() -> Metrics {
    Metrics::new("0", "").expect("constant names")
}

/// Every line of a store's gauges, without the store's name.
fn gauges(metrics: &Metrics, store: &str) -> Vec<String> {
    let text = metrics.text();
    let name = format!("store=\"{store}\"");
    let gauges = text.lines().filter(|line| {
        let others = ["_total", "duration", "imagestore_info"];
        line.contains(&name) && !others.iter().any(|other| line.contains(other))
    });
    gauges.map(|line| line.replace(&name, "")).collect()
}

fn record<'a>(stores: impl IntoIterator<Item = &'a StoreMetrics>) -> Vec<u8> {
    super::record(stores, metrics().run())
}

fn restore<'a>(
    record: &[u8],
    stores: impl IntoIterator<Item = &'a StoreMetrics>,
) -> Result<Vec<String>, RecordError> {
    super::restore(record, stores, metrics().run())
}

fn answers(store: &StoreMetrics, images: u64) {
    let mut registries = Registries::default();
    registries.add(Registry::Host("a.example"));
    registries.add(Registry::None);
    let contents = Contents {
        images: Some(images),
        size_bytes: Some(1 << 52),
        registries,
        ..Contents::default()
    };
    let answer = Answer {
        contents,
        ..Answer::default()
    };
    store.answered(&answer, Query::default());
}

#[test]
fn numbers_go_to_the_store_of_their_kind_and_address_whatever_it_is_called() {
    let before = metrics();
    let store = before.store("cri", "cri", HERE);
    answers(&store, 3);
    let expected = gauges(&before, "cri");
    assert!(expected.len() > 5, "{expected:?}");

    let after = metrics();
    let stores = [
        after.store("cri", "cri", THERE),
        after.store("renamed", "cri", HERE),
    ];
    let dropped = restore(&record([&store]), &stores).expect("a good record");
    assert_eq!(gauges(&after, "renamed"), expected);
    assert_eq!(gauges(&after, "cri"), Vec::<String>::new());
    assert_eq!(dropped, Vec::<String>::new());
}

#[test]
fn numbers_of_an_address_that_is_not_configured_any_more_are_dropped() {
    let before = metrics();
    let stores = [
        before.store("cri", "cri", HERE),
        before.store("never-asked", "cri", THERE),
    ];
    answers(&stores[0], 3);
    let after = metrics();
    let dropped = restore(
        &record(&stores),
        [&after.store("cri", "rkt", "http://here:1")],
    );
    assert_eq!(dropped.expect("a good record"), [format!("cri+{HERE}")]);
    assert_eq!(gauges(&after, "cri"), Vec::<String>::new());
}

#[test]
fn of_two_stores_at_one_address_each_takes_the_numbers_of_its_own_name() {
    let before = metrics();
    let stores = ["a", "b", "c"].map(|name| before.store(name, "cri", HERE));
    for (store, images) in stores.iter().zip([1, 2, 3]) {
        answers(store, images);
    }
    let after = metrics();
    let [c, x, a] = ["c", "x", "a"].map(|name| after.store(name, "cri", HERE));
    let dropped = restore(&record(&stores), [&c, &x, &a]).expect("a good record");
    assert_eq!(dropped, Vec::<String>::new());
    for (now, earlier) in [("c", "c"), ("x", "b"), ("a", "a")] {
        assert_eq!(gauges(&after, now), gauges(&before, earlier));
    }
}

#[test]
fn the_next_process_learns_how_a_run_ended_unless_the_record_is_unusable() {
    let kept = |metrics: &Metrics| Kept::new(vec![], metrics.run().clone());
    let before = kept(&metrics()).record();
    let after = metrics();
    kept(&after).restore(b"{}").expect_err("it has no version");
    assert_eq!(after.run().streak(), None);
    kept(&after).restore(&before).expect("a good record");
    assert_eq!(after.run().streak().map(|streak| streak.ends), Some(1));
    let text = after.text();
    assert!(
        text.contains("\nexp_rkt_grpc_unexpected_ends_total 1\n"),
        "{text}"
    );
}

#[test]
fn numbers_are_taken_once() {
    let before = metrics();
    let store = before.store("a", "cri", HERE);
    answers(&store, 1);
    let after = metrics();
    let stores = ["x", "a"].map(|name| after.store(name, "cri", HERE));
    restore(&record([&store]), &stores).expect("a good record");
    assert_eq!(gauges(&after, "a"), gauges(&before, "a"));
    assert_eq!(gauges(&after, "x"), Vec::<String>::new());
}

#[test]
fn a_record_without_addresses_is_rejected() {
    let metrics = metrics();
    let of_0_1_0 = br#"{"version": 1, "gauges": [["imagestore_images", ["cri"], 1]]}"#;
    let outcome = restore(of_0_1_0, [&metrics.store("cri", "cri", HERE)]);
    assert!(
        matches!(outcome, Err(RecordError::WithoutAddresses)),
        "{outcome:?}"
    );
    assert_eq!(gauges(&metrics, "cri"), Vec::<String>::new());
}

#[test]
fn a_record_that_is_too_new_or_broken_changes_nothing() {
    let metrics = metrics();
    let store = metrics.store("cri", "cri", HERE);
    let good = r#"{"version": 2, "stores": [{"name": "cri", "url": "cri+unix:///run/here.sock", "gauges": [["imagestore_images", [], 1]]}]}"#;
    let too_new = good.replace("\"version\": 2", "\"version\": 3");
    let outcome = restore(too_new.as_bytes(), [&store]);
    assert!(
        matches!(outcome, Err(RecordError::Version(3))),
        "{outcome:?}"
    );
    for broken in [
        "{".to_owned(),
        "[]".to_owned(),
        r#"{"version": 2}"#.to_owned(),
        good.replace("[], 1]", "[], 1], [\"x\"]"),
        good.replace("\"url\"", "\"address\""),
    ] {
        assert_ne!(broken, good);
        restore(broken.as_bytes(), [&store]).expect_err("broken");
    }
    assert_eq!(gauges(&metrics, "cri"), Vec::<String>::new());
    restore(good.as_bytes(), [&store]).expect("a good record");
    assert_eq!(gauges(&metrics, "cri"), ["imagestore_images{} 1"]);
}

#[test]
fn a_series_that_was_restored_goes_when_the_store_answers_anew() {
    let before = metrics();
    let store = before.store("cri", "cri", HERE);
    answers(&store, 3);
    let after = metrics();
    let restored = after.store("cri", "cri", HERE);
    restore(&record([&store]), [&restored]).expect("a good record");
    restored.answered(&Answer::default(), Query::default());
    let gauges = gauges(&after, "cri");
    assert!(!gauges.iter().any(|line| line.contains("a.example")));
}

#[test]
fn a_series_is_restored_once_and_families_of_other_versions_are_ignored() {
    let metrics = metrics();
    let gauges_of = |labels: &str| {
        format!(
            r#"{{"version": 2, "stores": [{{"name": "cri", "url": "cri+{HERE}", "gauges": [{labels}]}}]}}"#
        )
    };
    let record = gauges_of(
        r#"["imagestore_images", [], 1], ["imagestore_images", [], 2], ["imagestore_images", ["x"], 3], ["of_tomorrow", [], 4]"#,
    );
    restore(record.as_bytes(), [&metrics.store("cri", "cri", HERE)]).expect("a good record");
    assert_eq!(gauges(&metrics, "cri"), ["imagestore_images{} 1"]);

    let of_tomorrow = gauges_of(r#"["of_tomorrow", [], 4]"#);
    let dropped = restore(
        of_tomorrow.as_bytes(),
        [&metrics.store("there", "cri", THERE)],
    );
    assert_eq!(dropped.expect("a good record"), [format!("cri+{HERE}")]);
}
