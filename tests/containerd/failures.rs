//! A containerd that cannot be queried, or not by everyone: the code and the words of the failure, and the recovery.

use lab::containerd::{Containerd, Release, Setup};
use lab::identity::{GROUP, MEMBER, NOBODY, POWERLESS_ROOT, PublicProgram};
use lab::poll::eventually;
use lab::service::run;

use super::{
    RESOURCE_EXHAUSTED, Scene, UNIMPLEMENTED, assert_asked, failures as failed, images, number,
};

lab::with_both! {
    v2_4:
    a_stopped_containerd_is_unavailable_and_counted_again_once_it_runs,
    a_containerd_without_its_cri_plugin_is_unimplemented_and_the_error_names_the_plugin,
    a_message_longer_than_containerds_limit_is_resource_exhausted,
    a_containerd_that_still_loads_its_store_is_reported_as_not_ready,
    a_member_of_the_group_of_containerds_socket_may_query_it,
}

fn a_stopped_containerd_is_unavailable_and_counted_again_once_it_runs(release: Release) {
    let mut scene = Scene::start(release);
    scene.containerd.import(&images(0..3));
    scene.assert_counts(3);
    scene.containerd.stop();
    assert!(!scene.containerd.socket().exists());
    scene.assert_fails("UNAVAILABLE", "No such file or directory");
    scene.containerd.launch(Setup::Plain);
    scene.containerd.wait_until_ready();
    scene.assert_counts(3);
}

fn a_containerd_without_its_cri_plugin_is_unimplemented_and_the_error_names_the_plugin(
    release: Release,
) {
    let mut containerd = Containerd::prepare(release);
    containerd.launch(Setup::WithoutCri);
    containerd.wait_for_failure(UNIMPLEMENTED);
    let scene = Scene::of(containerd);
    for part in [
        "the runtime does not serve runtime.v1",
        "its CRI plugin may be disabled",
        "it may serve runtime.v1alpha2 only (containerd before 1.6,",
        "unknown service runtime.v1.ImageService",
    ] {
        scene.assert_fails("UNIMPLEMENTED", part);
    }
}

fn a_message_longer_than_containerds_limit_is_resource_exhausted(release: Release) {
    let mut scene = Scene::start(release);
    scene.containerd.import(&images(0..100));
    scene.assert_counts(100);
    scene.containerd.stop();
    scene.containerd.launch(Setup::SendsAtMost(4096));
    scene.containerd.wait_for_failure(RESOURCE_EXHAUSTED);
    let trace = scene.assert_fails("RESOURCE_EXHAUSTED", "larger than max");
    match release {
        Release::Debian => assert_asked(&trace, 0, 1),
        Release::V2_4(_) => assert_asked(&trace, 1, 0),
    }
}

fn a_containerd_that_still_loads_its_store_is_reported_as_not_ready(release: Release) {
    const NOT_READY: &str =
        "the runtime is starting and not ready yet: server is not initialized yet";
    let images = images(0..3);
    let mut scene = Scene::start(release);
    scene.containerd.import(&images);
    scene.containerd.stop();
    scene.containerd.block_at(&images[0]);
    scene.containerd.launch(Setup::Plain);
    eventually("an unfinished start", || {
        scene.ask().status.contains(NOT_READY).then_some(())
    });
    let _writer = scene.containerd.unblock(&images[0]);
    let answer = eventually("an answer", || {
        let scrape = scene.ask().scrape;
        (number(&scrape, "imagestore_up") == Some(1.0)).then_some(scrape)
    });
    assert_eq!(number(&answer, "imagestore_images"), Some(2.0));
    assert_eq!(
        answer.sum("imagestore_query_failures_total"),
        Some(failed(&answer, "UNAVAILABLE"))
    );
}

fn a_member_of_the_group_of_containerds_socket_may_query_it(release: Release) {
    let mut containerd = Containerd::prepare(release);
    containerd.make_folder_public();
    containerd.launch(Setup::SocketOfGroup(GROUP));
    containerd.wait_until_ready();
    let program = PublicProgram::copy_of(env!("CARGO_BIN_EXE_exp-rkt-grpc"));
    let url = containerd.url();
    let query_as = |identity: [&str; 3]| {
        let program = program.path().to_str().expect("the path is UTF-8");
        let query = [program, "query", "--store", url.as_str()];
        let environment = [("OTEL_TRACES_EXPORTER", "none")];
        run("setpriv", identity.iter().chain(&query), &environment)
    };
    assert_eq!(query_as(MEMBER).status.code(), Some(0));
    assert_eq!(query_as(POWERLESS_ROOT).status.code(), Some(0));
    let refused = query_as(NOBODY);
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8_lossy(&refused.stdout);
    assert!(text.contains("no permission to connect"), "{text}");
}

#[test]
fn a_killed_containerd_leaves_a_stale_socket_and_is_unavailable() {
    let mut scene = Scene::start(Release::Debian);
    scene.assert_counts(0);
    scene.containerd.kill();
    assert!(scene.containerd.socket().exists());
    scene.assert_fails("UNAVAILABLE", "Connection refused");
}

#[test]
fn a_containerd_that_hangs_exceeds_the_deadline() {
    let scene = Scene::with(Containerd::start(), |builder| {
        builder.arg("--deadline").arg("5s")
    });
    // On a busy machine even a good answer may take longer.
    let wait_for_an_answer = || {
        eventually("an answer within the deadline", || {
            (number(&scene.ask().scrape, "imagestore_up") == Some(1.0)).then_some(())
        });
    };
    wait_for_an_answer();
    scene.containerd.freeze();
    scene.assert_fails("DEADLINE_EXCEEDED", "no complete answer within 5s");
    scene.containerd.thaw();
    wait_for_an_answer();
}
