//! Queries on request, periodically, and when something happens: the units around the service.

use std::fs;

use lab::poll::eventually;
use lab::rkt_api_service::Images;

use crate::host::Host;

const TIMER: &str = "exp-rkt-grpc-query.timer";
const QUERY: &str = "exp-rkt-grpc-query.service";

#[test]
fn a_query_can_be_requested_of_a_service_that_does_not_run_yet() {
    let Some(host) = Host::boot("requested") else {
        return;
    };
    let _store = host.store(Images::generated(2));
    assert_eq!(host.property("ActiveState"), "inactive");
    host.systemctl("start exp-rkt-grpc-query.service");
    eventually("the query", || {
        (host.of_rkt("imagestore_images") == Some(2.0)).then_some(())
    });
    assert_eq!(host.property("NRestarts"), "0");
}

#[test]
fn the_timer_is_off_until_it_is_enabled_and_then_queries_again_and_again() {
    let Some(host) = Host::boot("timer") else {
        return;
    };
    let store = host.store(Images::generated(2));
    let enabled = host.machine.run(["systemctl", "is-enabled", TIMER]);
    assert_eq!(enabled.stdout, b"disabled\n");
    assert_eq!(host.machine.property(TIMER, "ActiveState"), "inactive");
    // Every second instead of every five minutes.
    host.edit(
        TIMER,
        "[Timer]\nOnCalendar=\nOnCalendar=*:*:*\nRandomizedDelaySec=0\n",
    );
    host.systemctl("enable --now exp-rkt-grpc-query.timer");
    eventually("four queries", || {
        (host.of_rkt("imagestore_queries_total") >= Some(4.0)).then_some(())
    });
    assert!(!store.calls().is_empty());
    assert_eq!(host.machine.property(QUERY, "Result"), "success");
}

#[test]
fn a_change_of_the_store_causes_a_query_and_a_burst_of_them_fails_no_unit() {
    let Some(host) = Host::boot("path") else {
        return;
    };
    let store = host.store(Images::generated(1));
    let example = host
        .machine
        .path("/usr/share/doc/exp-rkt-grpc/examples/exp-rkt-grpc-query.path");
    let example = fs::read_to_string(example).expect("the package has it");
    let watched = "/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db";
    assert!(
        example.contains(&format!("PathModified={watched}\n")),
        "{example}"
    );
    host.machine
        .write("/etc/systemd/system/exp-rkt-grpc-query.path", &example);
    host.machine.write(watched, "0");
    host.systemctl("daemon-reload");
    host.systemctl("enable --now exp-rkt-grpc-query.path");
    assert_eq!(store.calls().len(), 0);
    for change in 0..40 {
        host.machine.write(watched, change.to_string());
    }
    eventually("the query", || {
        (host.of_rkt("imagestore_images") == Some(1.0)).then_some(())
    });
    // While the oneshot runs, systemd does not watch the path.
    eventually("the oneshot to end", || {
        (host.machine.property(QUERY, "ActiveState") == "inactive").then_some(())
    });
    store.serve_images(Images::generated(5));
    host.machine.write(watched, "last");
    eventually("the last query", || {
        (host.of_rkt("imagestore_images") == Some(5.0)).then_some(())
    });
    let failed = host.systemctl("list-units --failed --no-legend");
    assert_eq!(failed, "");
}
