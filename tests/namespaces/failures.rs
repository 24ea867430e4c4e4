//! Queries that fail, and what they say about it.

use lab::containerd::{Containerd, Release, Setup};
use lab::containerd_api::{Names, StandIn, client};
use lab::jaeger::Jaeger;
use lab::service::{PATIENCE, Service};
use lab::tempdir;

use super::{
    LIST_IMAGES, LIST_NAMESPACES, PROGRAM, STREAM_CONTAINERS, Scene, VERSION, counts, images,
    number,
};

lab::with_both! {
    v2_4:
    a_list_longer_than_containerds_limit_fails_with_the_cure_and_the_last_numbers_stay,
    each_call_of_a_query_is_a_span,
    a_call_without_a_namespace_is_refused_as_by_the_stand_in,
}

fn a_list_longer_than_containerds_limit_fails_with_the_cure_and_the_last_numbers_stay(
    release: Release,
) {
    // The section of the configuration: 1.6 writes files of version 2, 2.4 of version 4.
    let section = match release {
        Release::Debian => "[grpc]",
        Release::V2_4(_) => "[plugins.\"io.containerd.server.v1.grpc\"]",
    };
    let mut scene = Scene::start(release, &["moby", "default"]);
    let names: Vec<String> = (0..100)
        .map(|number| format!("quay.io/n:{number}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    scene.containerd.import_into("moby", &images(&names));
    scene
        .containerd
        .import_into("default", &images(&names[..1]));
    let before = scene.assert_counts();
    scene.containerd.stop();
    scene.containerd.launch(Setup::SendsAtMost(4096));
    scene.containerd.wait_until_ready();
    let (status, scrape, trace) = scene.ask();
    let words = ["larger than max (", "raise max_send_message_size", section];
    let said = |text: &str| words.iter().all(|words| text.contains(words));
    assert!(said(&status), "{status}");
    assert!(status.contains("default: 1 image, "), "{status}");
    assert_eq!(number(&scrape, "moby", "imagestore_up"), Some(0.0));
    assert_eq!(number(&scrape, "default", "imagestore_up"), Some(1.0));
    let labels = [("store", "moby"), ("code", "RESOURCE_EXHAUSTED")];
    let failures = scrape.value("imagestore_query_failures_total", &labels);
    assert_eq!(failures, Some(1.0));
    assert_eq!(
        counts(&scrape, "moby"),
        [Some(100.0), Some(100.0), Some(0.0)]
    );
    assert_eq!(counts(&scrape, "moby"), counts(&before, "moby"));
    let failed = |line: &str| line.contains("query failed") && said(line);
    scene
        .service
        .wait_for_stderr(|log| log.lines().any(failed), PATIENCE);
    let lists = trace.spans_named(LIST_IMAGES);
    let failed: Vec<_> = lists.iter().filter(|span| span.is_error()).collect();
    let [failed] = failed[..] else {
        panic!("{}", trace.render());
    };
    assert_eq!(failed.text("imagestore.store").as_deref(), Some("moby"));
    let description = failed.text("otel.status_description").unwrap_or_default();
    assert!(said(&description), "{}", trace.render());
}

fn each_call_of_a_query_is_a_span(release: Release) {
    let scene = Scene::start(release, &["mobby", "moby"]);
    scene
        .containerd
        .import_into("moby", &images(&["quay.io/a:1"]));
    let (_, _, trace) = scene.ask();
    let calls = trace.children_of(trace.root()).into_iter().map(|call| {
        assert_eq!(call.text("rpc.response.status_code").as_deref(), Some("OK"));
        let socket = scene.containerd.socket().to_str();
        assert_eq!(call.text("server.address").as_deref(), socket);
        let store = call.text("imagestore.store").expect("it has a store");
        (
            store,
            call.operation.clone(),
            call.text("imagestore.images"),
        )
    });
    let mut calls: Vec<_> = calls.collect();
    calls.sort();
    // Docker's own namespace is not asked for its containers.
    let expected = [
        ("mobby", STREAM_CONTAINERS, None),
        ("mobby", LIST_IMAGES, Some("0")),
        ("mobby", LIST_NAMESPACES, None),
        ("mobby", VERSION, None),
        ("moby", LIST_IMAGES, Some("1")),
        ("moby", VERSION, None),
    ];
    let expected = expected.map(|(store, call, images)| {
        (store.to_owned(), call.to_owned(), images.map(str::to_owned))
    });
    assert_eq!(calls, expected, "{}", trace.render());
}

fn a_call_without_a_namespace_is_refused_as_by_the_stand_in(release: Release) {
    let containerd = Containerd::start_of(release);
    let folder = tempdir().expect("a temporary folder can be made");
    let socket = folder.path().join("containerd.sock");
    let _stand_in = StandIn::unix(&socket, Names::generated(1)).expect("it can be bound");
    let refused = |socket| {
        let status = client::list_images(socket, None).expect_err("it is refused");
        (status.code(), status.message().to_owned())
    };
    assert_eq!(refused(&socket), refused(containerd.socket()));
    let unknown = |socket| client::list_images(socket, Some("mobby"));
    assert_eq!(unknown(&socket).expect("it answers"), []);
    assert_eq!(unknown(containerd.socket()).expect("it answers"), []);
}

/// Jaeger receives traces over gRPC, and is not a container runtime. Its server is the same (grpc-go) as that of CRI-O.
#[test]
fn a_server_without_this_api_is_unimplemented_and_the_error_names_the_kind_cri() {
    let Some(jaeger) = Jaeger::shared() else {
        return;
    };
    let service = Service::builder(PROGRAM)
        .env("OTEL_TRACES_EXPORTER", "none")
        .store(format!(
            "containerd+{}?namespace=moby",
            jaeger.otlp_endpoint()
        ))
        .start();
    let status = service.query();
    for part in [
        "UNIMPLEMENTED",
        "this is not containerd's own API, which it serves at its Unix socket only",
        "for CRI-O and other Kubernetes runtimes use the kind cri",
        "unknown service containerd.services.images.v1.Images",
    ] {
        assert!(status.contains(part), "{status}");
    }
}
