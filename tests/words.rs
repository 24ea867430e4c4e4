//! Text from stores and collectors is shown with its control characters escaped, wherever it appears.

use std::process::Output;

use lab::cri_runtime::{Behaviour, Images, Method, StandIn, filesystem};
use lab::jaeger_agent::{JaegerAgent, Trace, Value};
use lab::otlp_collector::{self, OtlpCollector};
use lab::service::{PATIENCE, Service, run};
use lab::{TempDir, tempdir};
use tonic::Status;

const PROGRAM: &str = env!("CARGO_BIN_EXE_exp-rkt-grpc");

/// C0 controls, DEL, a C1 control, directional marks and overrides, and the line and paragraph separators, between two words.
const HOSTILE: &str = "now\u{1b}[2J\u{7f}\u{9b}2J\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}\u{2028}\u{2029}\r\nthen";

/// [`HOSTILE`] as it is shown.
const SHOWN: &str = r"now\u{1b}[2J\u{7f}\u{9b}2J\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}\u{2028}\u{2029}\r\nthen";

/// A runtime with a hostile name, version and mountpoint, and the agent that receives traces.
struct Scene {
    runtime: StandIn,
    agent: JaegerAgent,
    _folder: TempDir,
}

impl Scene {
    fn set() -> Self {
        let folder = tempdir().expect("a temporary folder can be made");
        let socket = folder.path().join("cri.sock");
        let runtime = StandIn::unix(&socket, Images::generated(1)).expect("the path is free");
        runtime.serve_version(HOSTILE, HOSTILE);
        runtime.serve_filesystems(vec![filesystem(HOSTILE, 1, 1)]);
        Self {
            runtime,
            agent: JaegerAgent::bind(),
            _folder: folder,
        }
    }

    /// A runtime whose calls fail with hostile text.
    fn failing() -> Self {
        let scene = Self::set();
        scene.runtime.behave(failure());
        scene
    }

    fn service(&self) -> Service {
        let port = self.agent.port().to_string();
        let service = Service::builder(PROGRAM).env("OTEL_EXPORTER_JAEGER_AGENT_PORT", port);
        service.store(self.runtime.url()).start()
    }

    fn query(&self, output: &str) -> Output {
        let url = self.runtime.url();
        let arguments = ["query", "--output", output, "--store", &url];
        run(PROGRAM, arguments, &[("OTEL_TRACES_EXPORTER", "none")])
    }
}

fn failure() -> Behaviour {
    Behaviour::Fail(Status::unavailable(HOSTILE))
}

/// The text has none of the control characters of [`HOSTILE`] except for line breaks.
#[track_caller]
fn assert_harmless(text: &str) {
    let commands = |character: char| HOSTILE.contains(character) && !character.is_ascii_graphic();
    let harmful: Vec<char> = text.chars().filter(|&c| c != '\n' && commands(c)).collect();
    assert!(harmful.is_empty(), "{harmful:?} in {text:?}");
}

#[track_caller]
fn assert_shown(text: &str) {
    assert_harmless(text);
    assert!(text.contains(SHOWN), "{text:?}");
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the output is UTF-8")
}

/// All strings of a trace.
fn texts(trace: &Trace) -> Vec<&str> {
    let spans = trace.spans.iter();
    let values = spans.flat_map(|span| {
        let logs = span.logs.iter().flat_map(|log| log.fields.values());
        span.tags.values().chain(logs)
    });
    let mut texts = Vec::new();
    for value in values {
        if let Value::String(text) = value {
            texts.push(text.as_str());
        }
    }
    texts
}

#[test]
fn a_table_shows_text_of_a_runtime_and_of_its_errors_escaped_on_one_line() {
    for scene in [Scene::set(), Scene::failing()] {
        let output = scene.query("table");
        let table = text(&output.stdout);
        assert_shown(table);
        assert_eq!(table.lines().count(), 2, "{table}");
    }
}

#[test]
fn json_has_the_unchanged_text_of_an_error_and_prints_no_control_characters() {
    let output = Scene::failing().query("json");
    let printed = text(&output.stdout);
    assert_harmless(printed);
    let json: serde_json::Value = serde_json::from_str(printed).expect("the output is JSON");
    assert_eq!(json["stores"][0]["error"]["message"], HOSTILE);
    let output = Scene::set().query("json");
    let printed = text(&output.stdout);
    assert_harmless(printed);
    let json: serde_json::Value = serde_json::from_str(printed).expect("the output is JSON");
    assert_eq!(json["stores"][0]["runtime"]["name"], SHOWN);
}

#[test]
fn the_log_and_the_status_show_an_error_escaped_on_one_line() {
    let scene = Scene::failing();
    let service = scene.service();
    assert_shown(&service.query());
    service.stop();
    let log = service.stderr();
    assert_shown(&log);
    assert_eq!(log.lines().count(), 3, "{log}");
}

#[test]
fn the_log_shows_the_error_of_a_side_call_escaped_on_one_line() {
    let scene = Scene::set();
    scene.runtime.behave_for(Method::Version, failure());
    let service = scene.service();
    service.query();
    service.stop();
    let log = service.stderr();
    assert_shown(&log);
    assert_eq!(log.lines().count(), 4, "{log}");
}

#[test]
fn a_jaeger_trace_shows_an_error_escaped_in_tags_events_and_status() {
    let scene = Scene::failing();
    let service = scene.service();
    service.query();
    let trace = scene.agent.next_trace(PATIENCE);
    let texts = texts(&trace);
    texts.iter().for_each(|text| assert_harmless(text));
    let shown = texts.iter().filter(|text| text.contains(SHOWN));
    // The event, and the status of the root and of the call.
    assert!(shown.count() >= 3, "{texts:?}");
}

#[test]
fn an_otlp_trace_shows_an_error_escaped_in_events_and_status() {
    let scene = Scene::failing();
    let collector = OtlpCollector::bind();
    let service = Service::builder(PROGRAM)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        .store(scene.runtime.url())
        .start();
    service.query();
    let request = collector.next_request(PATIENCE).expect("a trace arrives");
    for span in otlp_collector::spans(request) {
        let status = span.status.expect("each span has a status");
        assert_harmless(&status.message);
        for event in &span.events {
            // Debug itself escapes control characters, so that those escaped before have two backslashes.
            let texts = event.attributes.iter().filter_map(|attribute| {
                let value = attribute.value.as_ref()?.value.as_ref()?;
                Some(format!("{value:?}"))
            });
            for text in texts {
                assert!(
                    !text.contains(r"\u{9b}") || text.contains(r"\\u{9b}"),
                    "{text}"
                );
            }
        }
    }
}

#[test]
fn the_log_shows_the_message_of_a_collector_escaped_on_one_line() {
    let scene = Scene::set();
    let collector = OtlpCollector::bind();
    collector.behave(otlp_collector::Behaviour::Partial {
        rejected_spans: 1,
        error_message: HOSTILE.to_owned(),
    });
    let service = Service::builder(PROGRAM)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        .store(scene.runtime.url())
        .start();
    service.query();
    service.wait_for_stderr(|log| log.contains("rejected 1 span: "), PATIENCE);
    service.stop();
    assert_shown(&service.stderr());
}

#[test]
fn a_scrape_shows_the_text_of_a_runtime_escaped_in_its_labels() {
    let scene = Scene::set();
    let service = scene.service();
    service.query();
    let scrape = service.get("/metrics").text().to_owned();
    assert_harmless(&scrape);
    // The exposition format escapes each backslash with another one.
    let label = SHOWN.replace('\\', r"\\");
    for name in ["runtime", "version", "mountpoint"] {
        let label = format!("{name}=\"{label}\"");
        assert!(scrape.contains(&label), "no {label} in {scrape}");
    }
}

#[test]
fn the_error_for_an_invalid_command_line_shows_it_escaped() {
    let unknown = format!("--{}", HOSTILE.replace('\n', ""));
    for arguments in [
        [unknown.as_str(), "x"],
        ["--deadline", HOSTILE],
        ["--store", HOSTILE],
    ] {
        let output = run(PROGRAM, arguments, &[]);
        assert_eq!(output.status.code(), Some(78));
        let printed = text(&output.stderr);
        assert_harmless(printed);
        assert!(printed.contains(r"\u{9b}"), "{printed}");
    }
}
