//! Queries on request, by a timer, and when the store changes: the units around the service.

use std::fs;

use lab::poll::eventually;
use lab::rkt_api_service::Images;

use crate::host::{Host, SERVICE, SOCKET};

const TIMER: &str = "exp-rkt-grpc-query.timer";
const PATH: &str = "exp-rkt-grpc-query.path";
const QUERY: &str = "exp-rkt-grpc-query.service";

#[test]
fn a_requested_query_starts_the_service() {
    let Some(host) = Host::boot("requested") else {
        return;
    };
    let _store = host.store(Images::generated(2));
    assert_eq!(host.property("ActiveState"), "inactive");
    host.systemctl("start exp-rkt-grpc-query.service");
    eventually("the query", || {
        (host.of_rkt("imagestore_images") == Some(2.0)).then_some(())
    });
    assert_eq!(host.machine.property(QUERY, "Result"), "success");
    assert_eq!(host.property("NRestarts"), "0");
}

#[test]
fn the_timer_is_off_until_it_is_enabled_and_then_queries_repeatedly() {
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
fn a_change_of_the_store_causes_a_query_and_a_burst_of_changes_fails_no_unit() {
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
    store.serve_images(Images::generated(5));
    eventually("the last query", || {
        // Repeatedly: while the oneshot of an earlier change runs, systemd does not watch the path.
        host.machine.write(watched, "last");
        (host.of_rkt("imagestore_images") == Some(5.0)).then_some(())
    });
    let failed = host.systemctl("list-units --failed --no-legend");
    assert_eq!(failed, "");

    host.systemctl(STOP);
    assert_stopped(&host, PATH);
    host.systemctl("enable --now exp-rkt-grpc.socket");
    assert_eq!(host.machine.property(PATH, "ActiveState"), "active");
}

/// The command in the README and the manual page.
const STOP: &str = "disable --now exp-rkt-grpc.socket exp-rkt-grpc.service";

/// Neither the socket nor the service nor this unit is active.
#[track_caller]
fn assert_stopped(host: &Host, unit: &str) {
    for unit in [SOCKET, SERVICE, unit] {
        let state = host.machine.property(unit, "ActiveState");
        assert_eq!(state, "inactive", "{unit}\n{}", host.log());
    }
}

#[test]
fn one_command_stops_everything_and_no_timer_or_query_starts_it_again() {
    let Some(host) = Host::boot("stopped-all") else {
        return;
    };
    host.systemctl("enable --now exp-rkt-grpc-query.timer");
    host.systemctl("start exp-rkt-grpc");
    host.systemctl(STOP);
    assert_stopped(&host, TIMER);
    for start in [
        "start exp-rkt-grpc-query.service",
        "start exp-rkt-grpc-query.timer",
        "enable --now exp-rkt-grpc-query.timer",
    ] {
        let started = host.machine.run(format!("systemctl {start}").split(' '));
        let stderr = String::from_utf8_lossy(&started.stderr).into_owned();
        assert!(!started.status.success(), "{start}");
        assert!(
            stderr.contains("A dependency job for "),
            "{start}: {stderr}"
        );
        assert_stopped(&host, TIMER);
    }
    host.systemctl("enable --now exp-rkt-grpc.socket");
    assert_eq!(host.machine.property(TIMER, "ActiveState"), "active");
    host.systemctl("start exp-rkt-grpc-query.service");
}

#[test]
fn an_enabled_timer_queries_soon_after_boot_and_is_stopped_with_the_socket() {
    // A second instead of one to two minutes.
    let soon = "[Timer]\nOnCalendar=\nOnBootSec=1s\nRandomizedDelaySec=0\n";
    let edited = [(TIMER, soon)];
    let Some(host) = Host::boot_enabled_with("soon", &[SOCKET, TIMER], &edited) else {
        return;
    };
    eventually("the query", || {
        (host.property("ActiveState") == "active").then_some(())
    });
    host.systemctl("stop exp-rkt-grpc.socket exp-rkt-grpc.service");
    assert_stopped(&host, TIMER);
}

#[test]
fn at_boot_an_enabled_timer_starts_nothing_while_the_socket_is_disabled() {
    let Some(host) = Host::boot_enabled("timer-alone", &[TIMER]) else {
        return;
    };
    assert_stopped(&host, TIMER);
}

#[test]
fn the_query_unit_fails_if_the_services_configuration_is_refused() {
    let Some(host) = Host::boot("query-refused") else {
        return;
    };
    host.machine
        .write("/etc/default/exp-rkt-grpc", "EXP_RKT_GRPC_DEADLINE=never\n");
    let started = host.machine.run(["systemctl", "start", QUERY]);
    assert!(!started.status.success(), "{started:?}");
    let stderr = String::from_utf8_lossy(&started.stderr);
    assert!(
        stderr.contains(&format!("Job for {QUERY} failed")),
        "{stderr}"
    );
}

#[test]
fn stopping_everything_during_a_requested_query_leaves_its_unit_inactive() {
    let Some(host) = Host::boot("stopped-query") else {
        return;
    };
    host.edit(
        SERVICE,
        "[Service]\nTimeoutStartSec=infinity\nExecStartPre=+/bin/sleep infinity\n",
    );
    host.systemctl("start --no-block exp-rkt-grpc-query.service");
    eventually("the start", || {
        (host.property("ActiveState") == "activating").then_some(())
    });
    host.systemctl(STOP);
    eventually("the failure to be forgotten", || {
        (host.machine.property(QUERY, "ActiveState") == "inactive").then_some(())
    });
}
