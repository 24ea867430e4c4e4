//! The last good numbers survive restarts and crashes in systemd's file descriptor store, until the service is stopped.

use lab::exposition::Scrape;
use lab::poll::eventually;
use lab::rkt_api_service::{Behaviour, Images};
use lab::service::PATIENCE;

use crate::compiled::STORE_RECORD;
use crate::host::{Host, SERVICE};

/// All gauges that queries set, with their labels.
fn gauges(scrape: &Scrape) -> Vec<String> {
    let families = scrape.families.iter();
    families
        .filter(|family| family.kind == "gauge" && family.name.starts_with("imagestore_"))
        .filter(|family| family.name != "imagestore_info")
        .flat_map(|family| &family.samples)
        .map(|sample| format!("{sample:?}"))
        .collect()
}

/// A service that has counted some images, and its gauges.
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

/// The previous record is removed shortly after the new one is stored.
fn wait_for_one_record(host: &Host) {
    eventually("one record", || {
        (host.property("NFileDescriptorStore") == "1").then_some(())
    });
}

#[test]
fn the_gauges_survive_restarts_crashes_and_hangs_with_their_timestamps() {
    let Some((host, before)) = counted("state") else {
        return;
    };
    let ends = [
        "restart exp-rkt-grpc",
        "kill --signal=SIGKILL exp-rkt-grpc",
        "kill --signal=SIGSTOP exp-rkt-grpc",
    ];
    // Each of them twice: recovered numbers are kept for the next process.
    for end in ends.iter().chain(&ends) {
        let process = host.property("MainPID");
        host.systemctl(end);
        wait_for_another_process(&host, &process);
        assert_eq!(gauges(&host.scrape()), before, "{end}\n{}", host.log());
    }
    wait_for_one_record(&host);
}

#[test]
fn a_query_that_a_restart_interrupts_leaves_the_numbers_as_they_were() {
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
fn kept_numbers_follow_the_address_of_their_store_not_its_name() {
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
    let renamed = restart_with(&format!("renamed={ADDRESS}"));
    let images = |store| renamed.value("imagestore_images", &[("store", store)]);
    assert_eq!((images("renamed"), images("rkt")), (Some(3.0), None));

    let elsewhere = restart_with("rkt+http://127.0.0.1:15442");
    assert_eq!(gauges(&elsewhere), Vec::<String>::new());
    let log = host.log();
    let dropped =
        format!("kept numbers dropped, their stores are no longer configured stores={ADDRESS}");
    assert_eq!(log.matches(&dropped).count(), 1, "{log}");
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
    wait_for_one_record(&host);
}

#[test]
fn numbers_of_too_many_stores_are_not_kept_and_the_log_reports_it_once() {
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
    // The record without numbers still shows that the service was stopped on request.
    assert!(!log.contains("ended without being asked to"), "{log}");
}

/// Starts the service with this record in its file descriptor store, as an earlier process would have left it.
fn start_with(host: &Host, record: &str) {
    start_with_all(host, &[("state-7", record)], "");
}

/// Starts the service with these records, given by name and content, and with this setting of its unit.
fn start_with_all(host: &Host, records: &[(&str, &str)], setting: &str) {
    host.machine
        .install(&STORE_RECORD, "/usr/local/bin/store-record");
    let settings = format!("[Service]\n{setting}\n");
    let mut storing = format!("{settings}NotifyAccess=all\n");
    for (name, record) in records {
        host.machine.write(&format!("/run/{name}"), record);
        storing += &format!("ExecStartPre=+/bin/sh -c 'exec store-record {name} </run/{name}'\n");
    }
    host.edit(SERVICE, &storing);
    host.systemctl("start exp-rkt-grpc");
    host.edit(SERVICE, &settings);
}

/// The warnings and errors that the running process has logged, once it has logged that it is ready.
fn warnings(host: &Host) -> Vec<String> {
    let invocation = format!("_SYSTEMD_INVOCATION_ID={}", host.property("InvocationID"));
    eventually("the line of a ready service", || {
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

#[test]
fn a_record_stored_by_another_program_is_read() {
    let Some(host) = Host::boot("record") else {
        return;
    };
    start_with(&host, RECORD);
    assert_eq!(host.of_rkt("imagestore_images"), Some(9.0));
    assert_eq!(warnings(&host), [""; 0]);
}

#[test]
fn an_unusable_record_is_dropped_with_one_warning_and_the_next_query_is_kept_again() {
    let Some(host) = Host::boot("useless") else {
        return;
    };
    let _store = host.store(Images::generated(3));
    let later = RECORD.replace("\"version\": 2", "\"version\": 3");
    let long = RECORD.to_owned() + &" ".repeat(1 << 16);
    for (record, why) in [
        ("\u{1}\u{2}\u{3}", "it is not JSON"),
        (&later, "it has version 3, and this program reads 2"),
        (&long, "it is longer than 64 KiB"),
    ] {
        start_with(&host, record);
        wait_for_one_record(&host);
        assert_eq!(gauges(&host.scrape()), [""; 0]);
        let warning = format!("kept numbers dropped error={why}");
        assert_eq!(warnings(&host), [warning]);

        let counted = gauges(&host.query());
        assert_eq!(host.of_rkt("imagestore_images"), Some(3.0));
        host.systemctl("restart exp-rkt-grpc");
        assert_eq!(gauges(&host.scrape()), counted, "after {why}");
        wait_for_one_record(&host);
        assert_eq!(warnings(&host), [""; 0]);
        host.systemctl("stop exp-rkt-grpc");
    }
}

#[test]
fn of_two_records_left_by_a_kill_the_newer_is_read_and_the_older_removed() {
    let Some(host) = Host::boot("two") else {
        return;
    };
    let newer = RECORD.replace("[], 9", "[], 11");
    start_with_all(&host, &[("state-10", &newer), ("state-9", RECORD)], "");
    assert_eq!(host.of_rkt("imagestore_images"), Some(11.0));
    wait_for_one_record(&host);
    // The store has room for further records.
    let _store = host.store(Images::generated(3));
    host.query();
    host.systemctl("restart exp-rkt-grpc");
    assert_eq!(host.of_rkt("imagestore_images"), Some(3.0));
    wait_for_one_record(&host);
}

#[test]
fn if_the_descriptor_store_is_full_the_numbers_already_in_it_stay() {
    let Some(host) = Host::boot("no-room") else {
        return;
    };
    start_with_all(&host, &[("state-7", RECORD)], "FileDescriptorStoreMax=1");
    let before = gauges(&host.scrape());
    let _store = host.store(Images::generated(4));
    for _ in 0..3 {
        assert_ne!(gauges(&host.query()), before);
    }
    eventually("the warning", || {
        let warnings = warnings(&host);
        let warned = warnings
            .iter()
            .any(|line| line.contains("FileDescriptorStoreMax="));
        warned.then_some(())
    });
    host.systemctl("restart exp-rkt-grpc");
    assert_eq!(gauges(&host.scrape()), before, "{}", host.log());
}

/// Waits until the status text of the unit begins and ends like this.
fn wait_for_status(host: &Host, begin: &str, end: &str) {
    let mut status = String::new();
    let found = || {
        status = host.property("StatusText");
        (status.starts_with(begin) && status.ends_with(end)).then_some(())
    };
    eventually(&format!("the status {begin} … {end}"), found);
}

#[test]
fn the_status_after_a_restart_shows_the_kept_numbers_and_their_age() {
    let Some(host) = Host::boot("status") else {
        return;
    };
    let store = host.store(Images::generated(3));
    host.systemctl("start exp-rkt-grpc");
    host.query();
    host.systemctl("restart exp-rkt-grpc");
    wait_for_status(&host, "rkt: 3 images, queried ", " ago");

    store.behave(Behaviour::Refuse);
    host.query();
    let process = host.property("MainPID");
    host.systemctl("kill --signal=SIGKILL exp-rkt-grpc");
    wait_for_another_process(&host, &process);
    wait_for_status(&host, "rkt: query failed ", " ago");
    let status = host.property("StatusText");
    assert!(status.contains(" ago; 3 images "), "{status}");
}

/// The number of unexpected ends and the time since the first, as the running process has logged them.
fn logged_ends(host: &Host) -> Vec<(String, String)> {
    let invocation = format!("_SYSTEMD_INVOCATION_ID={}", host.property("InvocationID"));
    warnings(host);
    let id = "MESSAGE_ID=1f3754348cd641969b8bb011b51a82c1".to_owned();
    let entries = host.machine.journal([invocation, id]);
    let field =
        |entry: &serde_json::Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let ends = entries
        .iter()
        .map(|entry| (field(entry, "ENDS"), field(entry, "FIRST")));
    ends.collect()
}

#[test]
fn unexpected_ends_are_counted_in_warnings_until_a_requested_stop() {
    let Some(host) = Host::boot("crashes") else {
        return;
    };
    let total = || {
        host.scrape()
            .value("exp_rkt_grpc_unexpected_ends_total", &[])
    };
    let kill = || {
        let process = host.property("MainPID");
        host.systemctl("kill --signal=SIGKILL exp-rkt-grpc");
        wait_for_another_process(&host, &process);
    };
    host.systemctl("start exp-rkt-grpc");
    assert_eq!((logged_ends(&host), total()), (vec![], Some(0.0)));
    for ends in 1..=3 {
        kill();
        let logged = logged_ends(&host);
        let [(count, first)] = &logged[..] else {
            panic!("{logged:?}");
        };
        assert_eq!(*count, ends.to_string());
        assert!(first.ends_with(" ago"), "{first}");
        assert_eq!(total(), Some(f64::from(ends)));
    }
    host.systemctl("restart exp-rkt-grpc");
    assert_eq!((logged_ends(&host), total()), (vec![], Some(3.0)));
    kill();
    let logged = logged_ends(&host);
    assert_eq!(logged.len(), 1, "{logged:?}");
    assert_eq!((logged[0].0.as_str(), total()), ("1", Some(4.0)));
    host.systemctl("stop exp-rkt-grpc");
    host.systemctl("start exp-rkt-grpc");
    assert_eq!((logged_ends(&host), total()), (vec![], Some(0.0)));
}
