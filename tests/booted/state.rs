//! Which numbers outlive the process: the last good ones, in systemd's file descriptor store, until the service is stopped.

use lab::exposition::{Kind, Scrape};
use lab::poll::eventually;
use lab::rkt_api_service::{Behaviour, Images};
use lab::service::PATIENCE;

use crate::compiled::STORE_RECORD;
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
fn a_query_that_a_restart_gives_up_leaves_the_numbers_as_they_were() {
    let Some((host, before)) = counted("given-up") else {
        return;
    };
    let store = host.store(Images::generated(4));
    store.behave(Behaviour::Hang);
    host.systemctl("kill --signal=SIGQUIT exp-rkt-grpc");
    store.wait_for_calls(1, PATIENCE);
    host.systemctl("restart exp-rkt-grpc");
    let log = host.log();
    assert!(log.contains("query abandoned"), "{log}");
    assert_eq!(gauges(&host.scrape()), before, "{log}");
}

#[test]
fn numbers_are_shown_for_the_address_that_they_are_of_and_no_other() {
    const ADDRESS: &str = "rkt+http://127.0.0.1:15441";
    let Some((host, _)) = counted("addresses") else {
        return;
    };
    let restart_with = |store: &str| {
        let settings = format!("EXP_RKT_GRPC_STORE={store}\n");
        host.machine.write("/etc/default/exp-rkt-grpc", settings);
        host.systemctl("restart exp-rkt-grpc");
        host.scrape()
    };
    let elsewhere = restart_with("rkt+http://127.0.0.1:15442");
    assert_eq!(gauges(&elsewhere), Vec::<String>::new());
    let log = host.log();
    let dropped =
        format!("kept numbers dropped, their stores are no longer configured stores={ADDRESS}");
    assert_eq!(log.matches(&dropped).count(), 1, "{log}");

    let renamed = restart_with(&format!("renamed={ADDRESS}"));
    let images = |store| renamed.value("imagestore_images", &[("store", store)]);
    assert_eq!((images("renamed"), images("rkt")), (Some(3.0), None));
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
    let stores: Vec<String> = (100..250)
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

/// Starts the service with this record in its store, as an earlier process would have left it.
fn start_with(host: &Host, record: &str) {
    const STORE: &str = "[Service]\nNotifyAccess=all\nExecStartPre=+/bin/sh -c 'exec store-record state-7 </run/record'\n";
    host.machine
        .install(&STORE_RECORD, "/usr/local/bin/store-record");
    host.machine.write("/run/record", record);
    host.edit(SERVICE, STORE);
    host.systemctl("start exp-rkt-grpc");
    host.edit(SERVICE, "");
}

/// What the running process has warned of, and worse; of its start nothing is missing.
fn warnings(host: &Host) -> Vec<String> {
    let invocation = format!("_SYSTEMD_INVOCATION_ID={}", host.property("InvocationID"));
    eventually("what it says once it is ready", || {
        let ready = "MESSAGE_ID=0f1ef67be4944cda80f256f9b19f5e97".to_owned();
        let ready = host.machine.journal([invocation.clone(), ready]);
        (!ready.is_empty()).then_some(())
    });
    let entries = host
        .machine
        .journal(["--priority=warning".to_owned(), invocation]);
    let messages = entries.iter().filter_map(|entry| entry["MESSAGE"].as_str());
    messages.map(str::to_owned).collect()
}

const RECORD: &str = r#"{"version": 2, "stores": [{"name": "rkt", "url": "rkt+http://127.0.0.1:15441", "gauges": [["imagestore_images", [], 9]]}]}"#;

/// As 0.1.0 has written it.
const RECORD_WITHOUT_ADDRESSES: &str =
    r#"{"version": 1, "gauges": [["imagestore_images", ["rkt"], 9]]}"#;

#[test]
fn a_record_that_is_put_into_the_store_from_outside_is_read() {
    let Some(host) = Host::boot("record") else {
        return;
    };
    start_with(&host, RECORD);
    assert_eq!(host.of_rkt("imagestore_images"), Some(9.0));
    assert_eq!(warnings(&host), [""; 0]);
}

#[test]
fn a_record_that_is_of_no_use_is_dropped_with_one_warning_and_the_next_query_is_kept_again() {
    let Some(host) = Host::boot("useless") else {
        return;
    };
    let _store = host.store(Images::generated(3));
    let later = RECORD.replace("\"version\": 2", "\"version\": 3");
    let long = RECORD.to_owned() + &" ".repeat(1 << 16);
    for (record, why) in [
        ("\u{1}\u{2}\u{3}", "it is not JSON"),
        (&later, "it has version 3, and this program reads 2"),
        (
            RECORD_WITHOUT_ADDRESSES,
            "it has version 1, which does not say at which addresses its stores were",
        ),
        (&long, "it is longer than 64 KiB"),
    ] {
        start_with(&host, record);
        assert_eq!(host.property("NFileDescriptorStore"), "0");
        assert_eq!(gauges(&host.scrape()), [""; 0]);
        let warning = format!("kept numbers dropped error={why}");
        assert_eq!(warnings(&host), [warning]);

        let counted = gauges(&host.query());
        assert_eq!(host.of_rkt("imagestore_images"), Some(3.0));
        host.systemctl("restart exp-rkt-grpc");
        assert_eq!(gauges(&host.scrape()), counted, "after {why}");
        assert_eq!(host.property("NFileDescriptorStore"), "1");
        assert_eq!(warnings(&host), [""; 0]);
        host.systemctl("stop exp-rkt-grpc");
    }
}
