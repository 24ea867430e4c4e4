//! Which numbers outlive the process: the last good ones, in systemd's file descriptor store, until the service is stopped.

use lab::exposition::{Kind, Scrape};
use lab::poll::eventually;
use lab::rkt_api_service::Images;

use crate::host::{Host, SERVICE};

/// All gauges of stores, with their labels.
fn gauges(scrape: &Scrape) -> Vec<String> {
    let families = scrape.families.iter();
    families
        .filter(|family| family.kind == Kind::Gauge && family.name.starts_with("imagestore_"))
        .flat_map(|family| &family.samples)
        .map(|sample| format!("{sample:?}"))
        .collect()
}

/// A service that has counted some images, and what it says of them.
fn counted(name: &str) -> Option<(Host, Vec<String>)> {
    let host = Host::boot(name)?;
    host.edit(SERVICE, "[Service]\nWatchdogSec=2s\n");
    let _gone_afterwards = host.store(Images::generated(3));
    host.systemctl("start exp-rkt-grpc");
    let gauges = gauges(&host.query());
    assert!(gauges.len() >= 8, "{gauges:#?}");
    Some((host, gauges))
}

fn wait_for_another_process(host: &Host, process: &str) {
    eventually("another process", || {
        let another = host.property("MainPID") != process && host.property("SubState") == "running";
        another.then_some(())
    });
}

#[test]
fn the_gauges_are_there_with_their_age_after_restarts_and_crashes_and_hangs() {
    let Some((host, before)) = counted("state") else {
        return;
    };
    let ends = [
        "restart exp-rkt-grpc",
        "kill --signal=SIGKILL exp-rkt-grpc",
        "kill --signal=SIGSTOP exp-rkt-grpc",
    ];
    // Each of them twice: what was recovered is kept for the one after.
    for end in ends.iter().chain(&ends) {
        let process = host.property("MainPID");
        host.systemctl(end);
        wait_for_another_process(&host, &process);
        assert_eq!(gauges(&host.scrape()), before, "{end}\n{}", host.log());
    }
    assert_eq!(host.property("NFileDescriptorStore"), "1");
}

#[test]
fn the_gauges_are_absent_after_a_stop_and_a_start() {
    let Some((host, _)) = counted("absent") else {
        return;
    };
    host.systemctl("stop exp-rkt-grpc");
    host.systemctl("start exp-rkt-grpc");
    assert_eq!(gauges(&host.scrape()), Vec::<String>::new());
}

#[test]
fn the_record_of_the_last_query_replaces_the_one_before() {
    let Some((host, before)) = counted("replaced") else {
        return;
    };
    let _store = host.store(Images::generated(4));
    for _ in 0..3 {
        host.query();
    }
    let last = gauges(&host.scrape());
    assert_ne!(last, before);
    host.systemctl("restart exp-rkt-grpc");
    assert_eq!(gauges(&host.scrape()), last);
    assert_eq!(host.property("NFileDescriptorStore"), "1");
}

#[test]
fn numbers_of_too_many_stores_are_not_kept_which_is_said_once() {
    let Some(host) = Host::boot("large") else {
        return;
    };
    let _store = host.store(Images::generated(1));
    let stores: Vec<String> = (10..70)
        .map(|number| {
            format!(
                "{}-{number}=rkt+http://127.0.0.1:15441",
                "long-name".repeat(25)
            )
        })
        .collect();
    host.machine.write(
        "/etc/default/exp-rkt-grpc",
        format!("EXP_RKT_GRPC_STORE={}\n", stores.join(",")),
    );
    host.systemctl("start exp-rkt-grpc");
    for _ in 0..2 {
        host.query();
    }
    host.systemctl("restart exp-rkt-grpc");
    assert_eq!(gauges(&host.scrape()), Vec::<String>::new());
    let log = host.log();
    assert_eq!(log.matches("numbers not kept").count(), 1, "{log}");
}
