//! Good answers.

use lab::rkt_api_service::{Behaviour, Images, Method, StandIn, v1alpha};
use lab::service::PATIENCE;
use lab::tempdir;
use tonic::Status;

use super::{IMAGES, Scene, images, program, value};

/// The bytes that gRPC puts before each message.
const FRAME: u64 = 5;

#[track_caller]
fn assert_counted(scene: &Scene, stored: &Images) {
    let scrape = scene.query();
    let totals = stored.totals();
    for (name, expected) in [
        ("imagestore_up", 1),
        ("imagestore_images", totals.count),
        ("imagestore_images_size_bytes", totals.size_bytes),
        ("imagestore_response_bytes", totals.encoded_bytes + FRAME),
    ] {
        assert_eq!(value(&scrape, name), Some(expected as f64), "{name}");
    }
}

#[test]
fn before_the_first_query_only_the_info_and_the_counters_of_the_store_are_present() {
    let scene = Scene::set();
    let scrape = scene.service.scrape();
    let known: Vec<&str> = scrape
        .names()
        .into_iter()
        .filter(|name| name.starts_with("imagestore_"))
        .collect();
    let from_the_start = [
        "imagestore_info",
        "imagestore_queries_total",
        "imagestore_query_failures_total",
    ];
    assert_eq!(known, from_the_start);
    assert_eq!(scrape.sum("imagestore_queries_total"), Some(0.0));
    assert_eq!(scrape.sum("imagestore_query_failures_total"), Some(0.0));
}

#[test]
fn a_query_over_tcp_counts_the_images_and_adds_up_their_sizes() {
    assert_counted(&Scene::set(), &Images::generated(IMAGES));
}

#[test]
fn a_query_over_a_unix_socket_counts_the_images_too() {
    let folder = tempdir().expect("a temporary folder can be made");
    let scene = Scene::over_unix(&folder);
    assert_counted(&scene, &Images::generated(IMAGES));
}

#[test]
fn the_oldest_and_the_newest_import_time_are_reported() {
    let scrape = Scene::set().query();
    let totals = Images::generated(IMAGES).totals();
    let oldest = value(&scrape, "imagestore_oldest_image_timestamp_seconds");
    let newest = value(&scrape, "imagestore_newest_image_timestamp_seconds");
    assert_eq!(oldest, Some(totals.oldest as f64));
    assert_eq!(newest, Some(totals.newest as f64));
}

#[test]
fn an_empty_store_has_0_images_and_no_import_times() {
    let scene = Scene::set();
    scene.query();
    scene.store.serve_images(Images::generated(0));
    assert_counted(&scene, &Images::generated(0));
    let scrape = scene.service.scrape();
    assert_eq!(
        value(&scrape, "imagestore_oldest_image_timestamp_seconds"),
        None
    );
    assert_eq!(
        value(&scrape, "imagestore_newest_image_timestamp_seconds"),
        None
    );
}

#[test]
fn fifty_thousand_images_exceed_tonics_default_limit_of_4_mib_and_are_counted() {
    let scene = Scene::set();
    let many = Images::generated(50_000);
    assert!(many.totals().encoded_bytes > 12_000_000);
    scene.store.serve_images(Images::generated(50_000));
    assert_counted(&scene, &many);
}

#[test]
fn an_answer_in_tiny_pieces_is_counted() {
    let scene = Scene::set();
    scene.store.behave(Behaviour::Dribble { chunk: 3 });
    assert_counted(&scene, &Images::generated(IMAGES));
}

#[test]
fn images_without_any_field_are_counted() {
    let scene = Scene::set();
    scene.store.behave(Behaviour::EmptyImages { count: 1000 });
    let scrape = scene.query();
    assert_eq!(images(&scrape), Some(1000.0));
    assert_eq!(value(&scrape, "imagestore_images_size_bytes"), Some(0.0));
}

#[test]
fn a_negative_size_counts_as_0() {
    let image = |size| v1alpha::Image {
        size,
        ..v1alpha::Image::default()
    };
    let stored = Images::Listed(vec![image(-5), image(12)]);
    let scene = Scene::of(StandIn::tcp(stored), |builder| builder);
    let scrape = scene.query();
    assert_eq!(images(&scrape), Some(2.0));
    assert_eq!(value(&scrape, "imagestore_images_size_bytes"), Some(12.0));
}

/// The oldest and the newest import time of a store whose images have these import times.
fn oldest_and_newest(times: &[i64]) -> [Option<f64>; 2] {
    let image = |&import_timestamp| v1alpha::Image {
        import_timestamp,
        ..v1alpha::Image::default()
    };
    let stored = Images::Listed(times.iter().map(image).collect());
    let scene = Scene::of(StandIn::tcp(stored), |builder| builder);
    let scrape = scene.query();
    assert_eq!(images(&scrape), Some(times.len() as f64));
    ["oldest", "newest"].map(|edge| {
        value(
            &scrape,
            &format!("imagestore_{edge}_image_timestamp_seconds"),
        )
    })
}

#[test]
fn an_invalid_import_time_is_absent_and_not_1970() {
    /// Go's zero time, in the year 1, as seconds since 1970.
    const GO_ZERO: i64 = -62_135_596_800;
    for none in [
        0,
        GO_ZERO,
        -1,
        i64::MIN,
        i64::MAX,
        1_500_000_000_000_000_000,
    ] {
        assert_eq!(oldest_and_newest(&[none]), [None; 2], "{none}");
        let reported = oldest_and_newest(&[1_500_000_001, none, 1_500_000_000]);
        assert_eq!(reported, [Some(1.5e9), Some(1.5e9 + 1.0)], "{none}");
    }
}

#[test]
fn each_query_counts_the_current_images() {
    let scene = Scene::set();
    for count in [3, 93, 0, 4] {
        scene.store.serve_images(Images::generated(count));
        assert_eq!(images(&scene.query()), Some(count as f64));
    }
    let queries = scene.service.scrape().sum("imagestore_queries_total");
    assert_eq!(queries, Some(4.0));
}

#[test]
fn after_a_success_both_timestamps_are_equal_and_the_duration_is_counted() {
    let scene = Scene::set();
    let scrape = scene.query();
    let query = value(&scrape, "imagestore_last_query_timestamp_seconds");
    assert!(query.is_some());
    let success = value(&scrape, "imagestore_last_success_timestamp_seconds");
    assert_eq!(query, success);
    let counted = value(&scrape, "imagestore_query_duration_seconds_count");
    assert_eq!(counted, Some(1.0));
}

#[test]
fn the_version_of_the_runtime_is_reported_and_replaces_the_earlier_one() {
    let scene = Scene::set();
    let info = |rkt_version: &str| v1alpha::Info {
        rkt_version: rkt_version.to_owned(),
        appc_version: "0.8.11".to_owned(),
        api_version: "1.0.0-alpha".to_owned(),
    };
    for version in ["1.29.0", "", "1.30.0"] {
        scene.store.serve_info(info(version));
        let scrape = scene.query();
        let known: Vec<_> = scrape.samples("imagestore_runtime_info").collect();
        assert_eq!(known.len(), 1, "{known:?}");
        let labels = [
            ("store", "rkt"),
            ("runtime", "rkt"),
            ("version", version),
            ("api_version", "1.0.0-alpha"),
        ];
        assert!(known[0].has_exactly(&labels), "{known:?}");
    }
}

#[test]
fn if_the_version_call_fails_the_images_are_still_counted() {
    let fail = Behaviour::Fail(Status::unimplemented("unknown method"));
    for behaviour in [fail, Behaviour::Hang, Behaviour::CutOff, Behaviour::Garbage] {
        let scene = Scene::set();
        scene.store.behave_for(Method::GetInfo, behaviour);
        let scrape = scene.query();
        assert_eq!(images(&scrape), Some(IMAGES as f64));
        assert_eq!(value(&scrape, "imagestore_up"), Some(1.0));
        assert_eq!(scrape.sum("imagestore_runtime_info"), None);
        assert_eq!(scrape.sum("imagestore_query_failures_total"), Some(0.0));
    }
}

#[test]
fn if_a_later_version_call_fails_the_earlier_version_disappears() {
    let scene = Scene::set();
    assert_eq!(scene.query().sum("imagestore_runtime_info"), Some(1.0));
    scene.store.behave_for(Method::GetInfo, Behaviour::CutOff);
    let scrape = scene.query();
    assert_eq!(scrape.sum("imagestore_runtime_info"), None);
    assert_eq!(value(&scrape, "imagestore_up"), Some(1.0));
}

#[test]
fn a_query_waits_for_a_slow_store() {
    let scene = Scene::set();
    scene.store.behave(Behaviour::Hang);
    scene.service.trigger();
    scene.store.wait_for_calls(1, PATIENCE);
    assert_eq!(images(&scene.service.scrape()), None);
    scene.store.release();
    scene.service.wait_for_status(PATIENCE);
    assert_eq!(images(&scene.service.scrape()), Some(IMAGES as f64));
}

#[test]
fn with_query_at_start_the_first_query_needs_no_signal() {
    let store = StandIn::tcp(Images::generated(IMAGES));
    let service = program().store(store.url()).arg("--query-at-start").start();
    service.wait_for_status(PATIENCE);
    let scrape = service.scrape();
    assert_eq!(images(&scrape), Some(IMAGES as f64));
    let triggers = |trigger| scrape.value("exp_rkt_grpc_triggers_total", &[("trigger", trigger)]);
    assert_eq!(triggers("startup"), Some(1.0));
    assert_eq!(triggers("signal"), Some(0.0));
    assert_eq!(store.calls().len(), 2);
}
