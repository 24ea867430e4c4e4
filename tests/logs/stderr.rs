//! Lines of text, if standard error is not connected to the journal.

use lab::jaeger_agent::Value;
use lab::rkt_api_service::Behaviour;
use lab::service::{Builder, PATIENCE};

use super::{Scene, program};

/// Executes a program with `$JOURNAL_STREAM` naming its standard error, where no journald is reachable.
const CLAIM_THE_JOURNAL: &str = "mount -t tmpfs tmpfs /run &&
    JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2) exec \"$@\"";

const ALL_LEVELS: [&str; 5] = [" ERROR ", "  WARN ", "  INFO ", " DEBUG ", " TRACE "];

/// Level and message of every line of a service that has run one query and was stopped.
fn lines(builder: Builder, behaviour: Behaviour) -> Vec<String> {
    let scene = Scene::set(builder);
    scene.store.behave(behaviour);
    scene.service.query();
    text(&scene).lines().map(essence).collect()
}

/// Stops the service and returns its standard error.
fn text(scene: &Scene) -> String {
    scene.stop();
    scene.service.stderr()
}

/// A line without its time and its fields, as in `INFO images counted`.
fn essence(line: &str) -> String {
    let (time, rest) = line.split_once(' ').expect("the line begins with a time");
    assert!(time.starts_with("20") && time.ends_with('Z'), "{line}");
    let words = rest.split_whitespace();
    let message: Vec<_> = words.take_while(|word| !word.contains('=')).collect();
    message.join(" ")
}

fn failure() -> Behaviour {
    Behaviour::Fail(tonic::Status::unavailable("come back later"))
}

#[test]
fn a_failed_query_is_one_line_at_error() {
    let lines = lines(program(), failure());
    assert_eq!(
        lines,
        [
            "INFO serving metrics",
            "ERROR query failed",
            "INFO stopping"
        ]
    );
}

#[test]
fn an_answered_query_is_one_line_at_info() {
    let lines = lines(program(), Behaviour::Answer);
    assert_eq!(
        lines,
        [
            "INFO serving metrics",
            "INFO images counted",
            "INFO stopping"
        ]
    );
}

#[test]
fn the_line_of_a_failed_query_has_the_store_the_code_and_the_reason() {
    let scene = Scene::set(program());
    scene.store.behave(failure());
    scene.service.query();
    let text = text(&scene);
    let line = text
        .lines()
        .find(|line| line.contains("query failed"))
        .expect("the query is logged");
    for part in ["imagestore.store=\"rkt\"", "code=\"UNAVAILABLE\"", "later"] {
        assert!(line.contains(part), "{line}");
    }
}

#[test]
fn the_line_of_an_answered_query_has_the_store_the_count_and_the_trace() {
    let scene = Scene::set(program());
    scene.service.query();
    let trace = scene.agent.next_trace(PATIENCE);
    let text = text(&scene);
    let line = text
        .lines()
        .find(|line| line.contains("images counted"))
        .expect("the query is logged");
    let id = format!("trace_id={}", trace.id_hex());
    for part in ["imagestore.store=\"rkt\"", "imagestore.images=7", &id] {
        assert!(line.contains(part), "{line}");
    }
}

#[test]
fn the_line_of_a_failed_query_has_the_trace_too() {
    // At the level error the log filter excludes the spans of the trace.
    for level in ["info", "error"] {
        let scene = Scene::set(program().env("EXP_RKT_GRPC_LOG", level));
        scene.store.behave(failure());
        scene.service.query();
        let id = scene.agent.next_trace(PATIENCE).id_hex();
        let text = text(&scene);
        let line = text.lines().find(|line| line.contains("query failed"));
        let line = line.expect("the failure is logged");
        assert!(line.ends_with(&format!("trace_id={id}")), "{line}");
    }
}

#[test]
fn the_first_line_has_the_metrics_address_and_the_stores() {
    let scene = Scene::set(program());
    let text = text(&scene);
    for part in [
        format!("address={}", scene.service.address()),
        "bound by the service".to_owned(),
        scene.store.url(),
    ] {
        assert!(text.contains(&part), "no {part} in {text}");
    }
}

#[test]
fn at_level_off_nothing_is_logged() {
    let lines = lines(program().arg("--log-level").arg("off"), failure());
    assert!(lines.is_empty(), "{lines:?}");
}

#[test]
fn at_level_error_an_answered_query_is_not_logged() {
    let lines = lines(program().arg("--log-level").arg("error"), Behaviour::Answer);
    assert!(lines.is_empty(), "{lines:?}");
}

#[test]
fn at_level_debug_repeated_failures_of_side_calls_are_logged() {
    let scene = Scene::set(program().arg("--log-level").arg("debug"));
    let unknown = Behaviour::Fail(tonic::Status::unimplemented("what is info?"));
    scene
        .store
        .behave_for(lab::rkt_api_service::Method::GetInfo, unknown);
    for _ in 0..2 {
        scene.service.query();
    }
    let text = text(&scene);
    assert!(text.contains(" WARN side call failed "), "{text}");
    assert!(text.contains(" DEBUG side call failed again "), "{text}");
}

#[test]
fn a_filter_can_enable_log_lines_of_libraries() {
    let filter = "exp_rkt_grpc=info,h2=trace";
    let scene = Scene::set(program().arg("--log-level").arg(filter));
    scene.service.query();
    let text = text(&scene);
    assert!(text.contains(" TRACE "), "{text}");
}

#[test]
fn the_log_level_does_not_affect_the_events_of_the_trace() {
    let scene = Scene::set(program().env("EXP_RKT_GRPC_LOG", "off"));
    scene.service.query();
    let trace = scene.agent.next_trace(PATIENCE);
    let counted = &trace.root().logs[0];
    assert_eq!(
        counted.fields.get("imagestore.images"),
        Some(&Value::Long(7))
    );
    assert_eq!(text(&scene), "");
}

#[test]
fn if_journal_stream_is_not_standard_error_lines_go_to_standard_error() {
    for stream in ["1:1", "", "nonsense"] {
        let lines = lines(program().env("JOURNAL_STREAM", stream), Behaviour::Answer);
        assert_eq!(lines.len(), 3, "{stream}: {lines:?}");
    }
}

#[test]
fn if_the_journal_cannot_be_reached_lines_go_to_standard_error() {
    if !super::journald::can_be_run() {
        return;
    }
    let builder = super::Service::builder("unshare")
        .arg("--mount")
        .arg("sh")
        .arg("-c")
        .arg(CLAIM_THE_JOURNAL)
        .arg("sh")
        .arg(env!("CARGO_BIN_EXE_exp-rkt-grpc"));
    let lines = lines(builder, Behaviour::Answer);
    assert_eq!(
        lines,
        [
            "INFO serving metrics",
            "INFO images counted",
            "INFO stopping"
        ]
    );
}

#[test]
fn every_line_begins_with_a_time_and_a_level() {
    let scene = Scene::set(program().arg("--log-level").arg("trace"));
    scene.service.query();
    for line in text(&scene).lines() {
        essence(line);
        assert!(
            ALL_LEVELS.iter().any(|level| line.contains(level)),
            "{line}"
        );
    }
}
