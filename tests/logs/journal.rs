//! Journal entries with fields, if standard error is connected to the journal.

use lab::rkt_api_service::Behaviour;
use lab::service::{Listen, PATIENCE, Signal};

use super::Scene;
use super::journald::{Entry, Journald};

const OURS: &str = "SYSLOG_IDENTIFIER=exp-rkt-grpc";

/// Matches the service's native entries, but not lines of standard error.
const NATIVE: &str = "_TRANSPORT=journal";

/// More than the journal's socket and its buffer hold (`net.unix.max_dgram_qlen` is 10 by default).
const MANY: usize = 40;

fn scene(journald: &Journald) -> Scene {
    Scene::set(journald.logged(env!("CARGO_BIN_EXE_exp-rkt-grpc")))
}

/// All entries of a service that has run one query and was stopped, with the id of the query's trace.
fn entries(behaviour: Behaviour) -> Option<(Vec<Entry>, String)> {
    let journald = Journald::start()?;
    let scene = scene(&journald);
    scene.store.behave(behaviour);
    scene.service.query();
    let id = scene.agent.next_trace(PATIENCE).id_hex();
    scene.stop();
    Some((journald.entries(&[OURS]), id))
}

#[track_caller]
fn find<'a>(entries: &'a [Entry], message: &str) -> &'a Entry {
    let mut found = entries.iter().filter(|entry| message_of(entry) == message);
    match (found.next(), found.next()) {
        (Some(entry), None) => entry,
        _ => panic!("not one entry {message:?}: {entries:#?}"),
    }
}

fn messages(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(message_of).collect()
}

/// The part of `MESSAGE` before the fields.
fn message_of(entry: &Entry) -> String {
    let words = entry.value("MESSAGE").split(' ');
    let message: Vec<&str> = words.take_while(|word| !word.contains('=')).collect();
    message.join(" ")
}

fn failure() -> Behaviour {
    Behaviour::Fail(tonic::Status::unavailable("later\nperhaps"))
}

#[test]
fn a_journal_that_stops_reading_blocks_neither_queries_nor_scrapes_and_loses_no_entry() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let scene = scene(&journald);
    journald.freeze();
    for done in 1..=MANY {
        scene.service.query();
        let queries = scene.service.scrape().sum("imagestore_queries_total");
        assert_eq!(queries, Some(done as f64));
    }
    journald.thaw();
    scene.stop();
    let counted = journald.entries(&[OURS, "IMAGESTORE_IMAGES=7"]);
    assert_eq!(counted.len(), MANY);
}

#[test]
fn a_journal_that_never_reads_again_does_not_delay_the_exit() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let scene = scene(&journald);
    journald.freeze();
    for _ in 0..MANY {
        scene.service.query();
    }
    scene.stop();
}

#[test]
fn a_failed_query_has_priority_3_and_the_reason() {
    let Some((entries, _)) = entries(failure()) else {
        return;
    };
    let failed = find(&entries, "query failed");
    assert_eq!(failed.value("PRIORITY"), "3");
    assert_eq!(failed.value("IMAGESTORE_STORE"), "rkt");
    assert_eq!(failed.value("CODE"), "UNAVAILABLE");
    assert!(failed.value("ERROR").contains("later\nperhaps"));
    assert!(failed.values("IMAGESTORE_IMAGES").is_empty());
}

#[test]
fn an_answered_query_has_priority_6_the_store_and_the_count() {
    let Some((entries, _)) = entries(Behaviour::Answer) else {
        return;
    };
    let counted = find(&entries, "images counted");
    assert_eq!(counted.value("PRIORITY"), "6");
    assert_eq!(counted.value("IMAGESTORE_STORE"), "rkt");
    assert_eq!(counted.value("IMAGESTORE_IMAGES"), "7");
    assert!(counted.value("TARGET").starts_with("exp_rkt_grpc::"));
}

#[test]
fn the_message_of_a_failed_query_has_all_details_in_one_line() {
    let Some((entries, _)) = entries(failure()) else {
        return;
    };
    let failed = find(&entries, "query failed");
    let message = failed.value("MESSAGE");
    for part in [
        "imagestore.store=rkt",
        "code=UNAVAILABLE",
        "later\\nperhaps",
    ] {
        assert!(message.contains(part), "no {part:?} in {message:?}");
    }
    let id = format!(" trace_id={}", failed.value("TRACE_ID"));
    assert!(message.ends_with(&id), "{message:?}");
}

#[test]
fn every_field_has_one_value() {
    for behaviour in [Behaviour::Answer, failure()] {
        let Some((entries, _)) = entries(behaviour) else {
            return;
        };
        for entry in &entries {
            for name in entry.names() {
                assert_eq!(entry.values(name).len(), 1, "{name} of {entry:#?}");
            }
        }
    }
}

#[test]
fn an_entry_has_its_location_in_the_source() {
    let Some((entries, _)) = entries(Behaviour::Answer) else {
        return;
    };
    let counted = find(&entries, "images counted");
    assert_eq!(counted.value("CODE_FILE"), "src/observe/event.rs");
    assert!(counted.value("CODE_LINE").parse::<u32>().is_ok());
}

#[test]
fn a_filter_can_enable_log_lines_of_libraries() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let builder = journald.logged(env!("CARGO_BIN_EXE_exp-rkt-grpc"));
    let scene = Scene::set(builder.env("EXP_RKT_GRPC_LOG", "exp_rkt_grpc=info,h2=debug"));
    scene.service.query();
    scene.stop();
    let entries = journald.entries(&[OURS]);
    let sent = entries.iter().find(|entry| message_of(entry) == "send");
    let sent = sent.expect("h2 logs the frames that it sends");
    assert!(sent.value("TARGET").starts_with("h2::"), "{sent:#?}");
    assert!(!sent.value("FRAME").is_empty(), "{sent:#?}");
}

#[test]
fn the_entries_of_a_trace_are_found_by_its_id() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let scene = scene(&journald);
    scene.service.query();
    scene.store.behave(failure());
    scene.service.query();
    let answered = scene.agent.next_trace(PATIENCE);
    let failed = scene.agent.next_trace(PATIENCE);
    scene.stop();
    for (trace, message) in [(answered, "images counted"), (failed, "query failed")] {
        let id = format!("TRACE_ID={}", trace.id_hex());
        let found = journald.entries(&[&id]);
        assert_eq!(messages(&found), [message]);
        let span = found[0].value("SPAN_ID");
        assert_eq!(span, format!("{:016x}", trace.root().span_id));
    }
}

#[test]
fn important_events_have_distinct_message_ids() {
    let (Some((answered, _)), Some((failed, _))) = (entries(Behaviour::Answer), entries(failure()))
    else {
        return;
    };
    let mut ids = vec![
        find(&answered, "serving metrics").value("MESSAGE_ID"),
        find(&answered, "images counted").value("MESSAGE_ID"),
        find(&answered, "stopping").value("MESSAGE_ID"),
        find(&failed, "query failed").value("MESSAGE_ID"),
    ];
    let is_id = |id: &&str| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(ids.iter().all(is_id), "{ids:?}");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    let again = find(&failed, "serving metrics").value("MESSAGE_ID");
    assert_eq!(
        again,
        find(&answered, "serving metrics").value("MESSAGE_ID")
    );
}

#[test]
fn a_query_is_one_entry_and_the_last_entry_is_written_before_the_exit() {
    let Some((entries, _)) = entries(Behaviour::Answer) else {
        return;
    };
    assert_eq!(
        messages(&entries),
        ["serving metrics", "images counted", "stopping"]
    );
}

#[test]
fn an_entry_outside_a_query_has_no_trace() {
    let Some((entries, _)) = entries(Behaviour::Answer) else {
        return;
    };
    for message in ["serving metrics", "stopping"] {
        let entry = find(&entries, message);
        assert!(entry.values("TRACE_ID").is_empty(), "{entry:#?}");
        assert!(entry.values("SPAN_ID").is_empty(), "{entry:#?}");
    }
}

#[test]
fn with_a_journal_nothing_is_written_to_standard_error() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let scene = scene(&journald);
    let pid = format!("_PID={}", scene.service.pid());
    scene.service.query();
    scene.stop();
    assert_eq!(journald.entries(&[&pid, NATIVE]).len(), 3);
    let by_stderr = journald.entries(&[&pid, "_TRANSPORT=stdout"]);
    assert!(by_stderr.is_empty(), "{by_stderr:#?}");
    assert_eq!(scene.service.stderr(), "");
}

#[test]
fn the_log_level_applies_to_the_journal_too() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let builder = journald.logged(env!("CARGO_BIN_EXE_exp-rkt-grpc"));
    let scene = Scene::set(builder.env("EXP_RKT_GRPC_LOG", "error"));
    scene.service.query();
    scene.store.behave(failure());
    scene.service.query();
    scene.stop();
    assert_eq!(messages(&journald.entries(&[OURS])), ["query failed"]);
}

#[test]
fn at_level_debug_entries_have_priority_7() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let builder = journald.logged(env!("CARGO_BIN_EXE_exp-rkt-grpc"));
    let scene = Scene::set(builder.env("EXP_RKT_GRPC_LOG", "debug"));
    let method = lab::rkt_api_service::Method::GetInfo;
    scene.store.behave_for(method, failure());
    for _ in 0..2 {
        scene.service.query();
    }
    scene.stop();
    let entries = journald.entries(&[OURS]);
    let entry = find(&entries, "side call failed again");
    assert_eq!(entry.value("PRIORITY"), "7");
}

#[test]
fn the_last_entry_of_a_service_that_is_aborted_is_written() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let scene = scene(&journald);
    scene.store.behave(Behaviour::Hang);
    scene.service.trigger();
    scene.store.wait_for_calls(1, PATIENCE);
    scene.service.signal(Signal::TERM);
    scene
        .service
        .wait_for_notification(|sent| sent.says("STOPPING", "1"), PATIENCE);
    scene.service.signal(Signal::TERM);
    assert_eq!(scene.service.wait(PATIENCE).code(), Some(1));
    let messages = messages(&journald.entries(&[OURS]));
    assert_eq!(messages.last().map(String::as_str), Some("aborted"));
}

#[test]
fn a_fatal_error_is_one_entry_with_one_cause_per_line() {
    let Some(journald) = Journald::start() else {
        return;
    };
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = other.local_addr().expect("the socket is bound");
    let service = journald
        .logged(env!("CARGO_BIN_EXE_exp-rkt-grpc"))
        .listen(Listen::Flag(address))
        .spawn();
    assert_eq!(service.wait(PATIENCE).code(), Some(1));
    let entries = journald.entries(&[OURS]);
    let [entry] = &entries[..] else {
        panic!("{entries:#?}");
    };
    for field in ["MESSAGE", "ERROR"] {
        let value = entry.value(field);
        let cause = "\n  because: Address already in use";
        assert!(value.contains(cause), "{field}: {value}");
    }
}
