//! `exp-rkt-grpc query`: a single query from the command line, printed as a table or as JSON.

use std::process::{Command, Output, Stdio};

use lab::containerd::{Containerd, OciImage};
use lab::jaeger_agent::JaegerAgent;
use lab::otlp_collector::{Behaviour, OtlpCollector};
use lab::poll::eventually;
use lab::rkt_api_service as rkt;
use lab::service::{Builder, Listen, PATIENCE, ReservedPort, Service, Signal, run};
use lab::{TempDir, cri_runtime as cri, tempdir};
use rustix::io::ioctl_fionread;
use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{Pid, kill_process};
use serde_json::Value;
use tonic::Status;

const PROGRAM: &str = env!("CARGO_BIN_EXE_exp-rkt-grpc");

/// The exit status of a refused configuration, see sysexits.h.
const EX_CONFIG: i32 = 78;

const RKT_IMAGES: usize = 4;
const CRI_IMAGES: usize = 30;

/// rkt, a Kubernetes runtime, and the agent that receives the trace.
struct Scene {
    rkt: rkt::StandIn,
    cri: cri::StandIn,
    agent: JaegerAgent,
    _folder: TempDir,
}

impl Scene {
    fn set() -> Self {
        let folder = tempdir().expect("a temporary folder can be made");
        let socket = folder.path().join("cri.sock");
        let runtime = cri::StandIn::unix(&socket, cri::Images::generated(CRI_IMAGES));
        Self {
            rkt: rkt::StandIn::tcp(rkt::Images::generated(RKT_IMAGES)),
            cri: runtime.expect("a socket can be bound there"),
            agent: JaegerAgent::bind(),
            _folder: folder,
        }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, &[])
    }

    fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let port = self.agent.port().to_string();
        let mut all = vec![("OTEL_EXPORTER_JAEGER_AGENT_PORT", port.as_str())];
        all.extend(environment);
        run(PROGRAM, arguments, &all)
    }

    /// Queries both stores and prints a table.
    fn table(&self) -> Output {
        let (rkt, cri) = (self.rkt.url(), self.cri.url());
        self.run(&["query", "--store", &rkt, "--store", &cri])
    }

    /// Queries both stores and prints JSON.
    fn json(&self) -> Output {
        let (rkt, cri) = (self.rkt.url(), self.cri.url());
        self.run(&[
            "query", "--output", "json", "--store", &rkt, "--store", &cri,
        ])
    }
}

fn failing() -> cri::Behaviour {
    cri::Behaviour::Fail(Status::unavailable("come back later"))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the output is UTF-8")
}

#[track_caller]
fn parsed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|why| panic!("{why}: {output:?}"))
}

/// The cells of a line; columns are at least two blanks apart.
fn cells(line: &str) -> Vec<&str> {
    line.split("  ")
        .map(str::trim)
        .filter(|cell| !cell.is_empty())
        .collect()
}

/// The sorted names of an object's members.
fn names(object: &Value) -> Vec<&str> {
    let object = object.as_object().expect("an object");
    let mut names: Vec<_> = object.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// The names of the stores in a table.
fn stores_of(output: &Output) -> Vec<String> {
    let lines = text(&output.stdout).lines().skip(1);
    lines
        .take_while(|line| !line.starts_with("trace "))
        .map(|line| cells(line)[0].to_owned())
        .collect()
}

#[test]
fn a_table_has_a_line_for_each_store_and_one_for_the_trace() {
    let scene = Scene::set();
    let output = scene.table();
    let lines: Vec<_> = text(&output.stdout).lines().collect();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert_eq!(
        cells(lines[0]),
        [
            "STORE", "RUNTIME", "IMAGES", "SIZE", "UNTAGGED", "PINNED", "UNUSED", "DURATION"
        ]
    );
    assert_eq!(cells(lines[1])[..3], ["rkt", "rkt 1.30.0", "4"]);
    assert_eq!(
        cells(lines[2])[..7],
        ["cri", "stand-in 1.0.0", "30", "30.0 MB", "3", "2", "28"]
    );
    assert!(lines[3].starts_with("trace "), "{lines:#?}");
}

#[test]
fn values_that_a_kind_of_store_does_not_have_are_dashes_in_the_table() {
    let output = Scene::set().table();
    let rkt = text(&output.stdout)
        .lines()
        .nth(1)
        .expect("the table has rkt's line");
    assert_eq!(cells(rkt)[4..7], ["-", "-", "-"], "{rkt}");
}

#[test]
fn the_columns_of_a_table_are_aligned() {
    let output = Scene::set().table();
    let lines: Vec<_> = text(&output.stdout).lines().take(3).collect();
    let column = |line: &str, cell: &str| line.find(cell).expect("the line has this cell");
    let images = column(lines[0], "IMAGES");
    assert_eq!(column(lines[1], "4 "), images, "{lines:#?}");
    assert_eq!(column(lines[2], "30 "), images, "{lines:#?}");
}

#[test]
fn if_every_store_answers_the_exit_status_is_0_and_standard_error_is_empty() {
    let output = Scene::set().table();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "");
}

/// Runs a query in a mount namespace in which the service's settings file has the content `$1`.
const CONFIGURED: &str = r#"
    mount -t tmpfs tmpfs /etc/default
    printf '%s\n' "$1" >/etc/default/exp-rkt-grpc
    exec "$0" query
"#;

#[test]
fn without_a_store_query_uses_the_services_stores_and_reports_it() {
    let scene = Scene::set();
    let url = scene.rkt.url();
    let settings = format!("EXP_RKT_GRPC_STORE=\"{url}\"");
    let script = ["--mount", "/bin/sh", "-c", CONFIGURED, PROGRAM, &settings];
    let untraced = [("OTEL_TRACES_EXPORTER", "none")];
    let output = run("/usr/bin/unshare", script, &untraced);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        text(&output.stderr),
        format!("querying rkt={url} (EXP_RKT_GRPC_STORE in /etc/default/exp-rkt-grpc)\n")
    );
    assert!(text(&output.stdout).contains("rkt 1.30.0"), "{output:?}");
}

#[test]
fn if_a_store_fails_the_exit_status_is_1_and_only_the_table_reports_the_error() {
    let scene = Scene::set();
    scene.cri.behave(failing());
    let output = scene.table();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "");
    let lines: Vec<_> = text(&output.stdout).lines().collect();
    assert_eq!(cells(lines[1])[..3], ["rkt", "rkt 1.30.0", "4"]);
    assert_eq!(
        cells(lines[2]),
        ["cri", "query failed: UNAVAILABLE: come back later"]
    );
}

#[test]
fn a_store_that_cannot_be_reached_is_a_line_of_the_table() {
    let unused = ReservedPort::reserve();
    let url = format!("rkt+http://{}", unused.address());
    let output = Scene::set().run(&["query", "--store", &url]);
    assert_eq!(output.status.code(), Some(1));
    let printed = text(&output.stdout);
    assert!(printed.contains("Connection refused"), "{printed}");
}

#[test]
fn a_store_that_hangs_is_given_up_at_the_deadline() {
    let scene = Scene::set();
    scene.cri.behave(cri::Behaviour::Hang);
    let url = scene.cri.url();
    let output = scene.run(&["query", "--store", &url, "--deadline", "300ms"]);
    assert_eq!(output.status.code(), Some(1));
    let printed = text(&output.stdout);
    assert!(
        printed.contains("no complete answer within 300ms"),
        "{printed}"
    );
}

#[test]
fn malformed_status_details_do_not_hide_the_status() {
    let scene = Scene::set();
    let url = scene.cri.url();
    for details in ["!!!", "AB==", "AA,AA", "\u{ff}"] {
        let status = [
            ("grpc-status", "7"),
            ("grpc-message", "no%ff"),
            ("grpc-status-details-bin", details),
        ];
        scene.cri.behave(cri::Behaviour::trailers(&status));
        let output = scene.run(&["query", "--store", &url]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let printed = text(&output.stdout);
        assert!(
            printed.contains("PERMISSION_DENIED: no\u{fffd}"),
            "{printed}"
        );
    }
}

#[test]
fn json_has_all_values_of_a_store() {
    let output = Scene::set().json();
    assert_eq!(output.status.code(), Some(0));
    let json = parsed(&output);
    assert_eq!(names(&json), ["stores", "trace_error", "trace_id"]);
    let cri = &json["stores"][1];
    assert_eq!(
        names(cri),
        [
            "duration_seconds",
            "error",
            "filesystems",
            "image_names",
            "images",
            "largest_image_size_bytes",
            "newest_image_timestamp_seconds",
            "oldest_image_timestamp_seconds",
            "pinned_images",
            "registry_images",
            "response_bytes",
            "runtime",
            "size_bytes",
            "store",
            "untagged_images",
            "unused_images",
            "unused_images_size_bytes",
            "warning",
        ]
    );
    let totals = cri::Images::generated(CRI_IMAGES).totals();
    assert_eq!(cri["store"], "cri");
    assert_eq!(cri["images"], totals.count);
    assert_eq!(cri["size_bytes"], totals.size_bytes);
    assert_eq!(cri["largest_image_size_bytes"], totals.largest);
    assert_eq!(cri["unused_images"], totals.count - totals.pinned);
    assert!(cri["unused_images_size_bytes"].is_u64(), "{cri}");
    assert_eq!(cri["untagged_images"], totals.untagged);
    assert_eq!(cri["pinned_images"], totals.pinned);
    assert_eq!(cri["response_bytes"], totals.encoded_bytes + 5);
    assert_eq!(cri["registry_images"]["r0.example.org"], 5);
    assert_eq!(cri["runtime"]["name"], "stand-in");
    assert_eq!(cri["filesystems"][0]["mountpoint"], "/var/lib/stand-in");
    assert!(cri["duration_seconds"].as_f64().is_some(), "{cri}");
}

#[test]
fn values_that_a_kind_of_store_does_not_have_are_null_in_json() {
    let json = parsed(&Scene::set().json());
    let (rkt, cri) = (&json["stores"][0], &json["stores"][1]);
    let absent = [
        "image_names",
        "untagged_images",
        "pinned_images",
        "unused_images",
        "unused_images_size_bytes",
        "filesystems",
        "warning",
        "error",
    ];
    for name in absent {
        assert_eq!(rkt[name], Value::Null, "{name}");
    }
    assert_eq!(cri["newest_image_timestamp_seconds"], Value::Null);
    assert_eq!(names(rkt), names(cri));
}

#[test]
fn a_failure_in_json_has_a_code_and_a_message() {
    let scene = Scene::set();
    scene.cri.behave(failing());
    let output = scene.json();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "");
    let json = parsed(&output);
    let failed = &json["stores"][1];
    assert_eq!(names(failed), ["duration_seconds", "error", "store"]);
    assert_eq!(failed["error"]["code"], "UNAVAILABLE");
    assert_eq!(failed["error"]["message"], "come back later");
    assert_eq!(json["stores"][0]["error"], Value::Null);
}

#[test]
fn when_query_exits_the_trace_with_the_printed_id_has_arrived() {
    let scene = Scene::set();
    let output = scene.table();
    let trace = scene.agent.next_trace(PATIENCE);
    let last = text(&output.stdout).lines().last();
    assert_eq!(last, Some(format!("trace {}", trace.id_hex()).as_str()));
    let trigger = trace.root().text("trigger");
    assert_eq!(trigger.as_deref(), Some("command"));
}

#[test]
fn when_query_exits_the_trace_of_a_failure_has_arrived_too() {
    let scene = Scene::set();
    scene.cri.behave(failing());
    let json = parsed(&scene.json());
    let trace = scene.agent.next_trace(PATIENCE);
    assert_eq!(json["trace_id"], trace.id_hex());
    assert!(trace.root().is_error());
}

#[test]
fn a_trace_that_was_delivered_has_no_error() {
    let scene = Scene::set();
    let json = scene.json();
    assert_eq!(parsed(&json)["trace_error"], Value::Null);
    assert_eq!(text(&json.stderr), "");
}

#[test]
fn a_trace_that_was_not_delivered_is_reported_and_does_not_change_the_exit_status() {
    let scene = Scene::set();
    let unused = ReservedPort::reserve();
    let endpoint = format!("http://{}", unused.address());
    let url = scene.cri.url();
    for format in ["table", "json"] {
        let output = run(
            PROGRAM,
            ["query", "--store", &url, "--output", format],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)],
        );
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let printed = text(&output.stderr);
        assert_eq!(printed.lines().count(), 1, "{printed}");
        let words = format!("exp-rkt-grpc: the trace was not delivered: {endpoint}: ");
        assert!(printed.starts_with(&words), "{printed}");
        assert!(printed.contains("Connection refused"), "{printed}");
        if format == "json" {
            let json = parsed(&output);
            let error = json["trace_error"].as_str().unwrap_or_default();
            assert!(error.contains("Connection refused"), "{json}");
        }
    }
}

#[test]
fn the_message_of_a_collector_that_rejects_a_trace_is_printed_in_one_line() {
    let scene = Scene::set();
    let collector = OtlpCollector::bind();
    collector.behave(Behaviour::Partial {
        rejected_spans: 1,
        error_message: "over\nquota\x1b[2J".to_owned(),
    });
    let endpoint = collector.endpoint();
    let environment = [
        ("OTEL_TRACES_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
    ];
    let output = scene.run_with(&["query", "--store", &scene.cri.url()], &environment);
    let printed = text(&output.stderr);
    assert!(
        printed.contains("rejected 1 span: over\\nquota\\u{1b}[2J;"),
        "{printed}"
    );
    assert_eq!(printed.lines().count(), 1, "{printed}");
}

#[test]
fn without_tracing_there_is_no_trace_id() {
    let scene = Scene::set();
    let url = scene.cri.url();
    for off in [
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_SDK_DISABLED", "True"),
    ] {
        let table = scene.run_with(&["query", "--store", &url], &[off]);
        assert_eq!(text(&table.stdout).lines().count(), 2, "{off:?}");
        let json = scene.run_with(&["query", "--store", &url, "--output=json"], &[off]);
        assert_eq!(parsed(&json)["trace_id"], Value::Null, "{off:?}");
    }
    let on = ("OTEL_SDK_DISABLED", "1");
    let json = scene.run_with(&["query", "--store", &url, "--output=json"], &[on]);
    assert!(parsed(&json)["trace_id"].is_string());
}

#[test]
fn if_the_result_cannot_be_printed_the_trace_is_still_sent() {
    let scene = Scene::set();
    let command = format!("{PROGRAM} query --store {} >/dev/full", scene.cri.url());
    let port = scene.agent.port().to_string();
    let environment = [("OTEL_EXPORTER_JAEGER_AGENT_PORT", port.as_str())];
    let output = run("sh", ["-c", command.as_str()], &environment);
    assert_eq!(output.status.code(), Some(1));
    let printed = text(&output.stderr);
    assert!(printed.contains("No space left on device"), "{printed}");
    scene.agent.next_trace(PATIENCE);
}

#[test]
fn if_help_or_version_cannot_be_printed_the_error_states_why() {
    for flag in ["--help", "--version"] {
        let command = format!("{PROGRAM} {flag} >/dev/full");
        let output = run("sh", ["-c", command.as_str()], &[]);
        assert_eq!(output.status.code(), Some(1), "{flag}");
        let printed = text(&output.stderr);
        assert!(printed.contains("could not be printed"), "{printed}");
        assert!(printed.contains("No space left on device"), "{printed}");
    }
}

#[test]
fn a_closed_or_read_only_standard_output_is_an_error_and_dev_null_is_not() {
    let scene = Scene::set();
    let query = format!("query --store {}", scene.cri.url());
    for arguments in ["--help", "--version", query.as_str()] {
        for (redirection, code) in [
            (">&-", 1),
            ("1</dev/null", 1),
            (">/dev/null", 0),
            ("1<>/dev/null", 0),
        ] {
            let command = format!("{PROGRAM} {arguments} {redirection}");
            let output = run(
                "sh",
                ["-c", command.as_str()],
                &[("OTEL_TRACES_EXPORTER", "none")],
            );
            let printed = text(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{command}: {printed}");
            assert_eq!(
                printed.contains("could not be printed"),
                code == 1,
                "{printed}"
            );
        }
    }
}

/// Runs the program with standard output connected to a pipe that is closed at the other end.
fn run_unread(arguments: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().expect("a pipe can be made");
    drop(reader);
    Command::new(PROGRAM)
        .args(arguments)
        .env("OTEL_TRACES_EXPORTER", "none")
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .expect("the program can be run")
}

#[test]
fn a_broken_pipe_is_ignored_for_help_and_an_error_for_a_result() {
    let help = run_unread(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert_eq!(text(&help.stderr), "");
    let scene = Scene::set();
    let url = scene.cri.url();
    for format in ["table", "json"] {
        let result = run_unread(&["query", "--output", format, "--store", &url]);
        assert_eq!(result.status.code(), Some(1));
        let printed = text(&result.stderr);
        assert!(
            printed.contains("the result of the query could not be printed"),
            "{printed}"
        );
        assert!(printed.contains("Broken pipe"), "{printed}");
    }
}

#[test]
fn the_store_can_come_from_the_environment() {
    let scene = Scene::set();
    let url = format!("here={}", scene.cri.url());
    let output = scene.run_with(&["query"], &[("EXP_RKT_GRPC_STORE", &url)]);
    assert_eq!(stores_of(&output), ["here"]);
}

#[test]
fn several_stores_can_come_from_the_environment() {
    let scene = Scene::set();
    let urls = format!("{},{}", scene.rkt.url(), scene.cri.url());
    let output = scene.run_with(&["query"], &[("EXP_RKT_GRPC_STORE", &urls)]);
    assert_eq!(stores_of(&output), ["rkt", "cri"]);
}

#[test]
fn a_store_can_be_given_before_or_after_the_subcommand() {
    let scene = Scene::set();
    let url = format!("here={}", scene.cri.url());
    let after = scene.run(&["query", "--store", &url]);
    let before = scene.run(&["--store", &url, "query"]);
    assert_eq!(stores_of(&after), ["here"]);
    assert_eq!(stores_of(&before), ["here"]);
}

#[test]
fn a_store_on_the_command_line_wins_over_the_environment_on_either_side() {
    let scene = Scene::set();
    let (given, environment) = (
        format!("given={}", scene.cri.url()),
        format!("environment={}", scene.cri.url()),
    );
    let environment = [("EXP_RKT_GRPC_STORE", environment.as_str())];
    let after = scene.run_with(&["query", "--store", &given], &environment);
    let before = scene.run_with(&["--store", &given, "query"], &environment);
    assert_eq!(stores_of(&after), ["given"]);
    assert_eq!(stores_of(&before), ["given"]);
}

#[test]
fn nothing_is_logged_by_default() {
    let scene = Scene::set();
    let url = scene.cri.url();
    let quiet = scene.run(&["query", "--store", &url]);
    assert_eq!(text(&quiet.stderr), "");
    let loud = scene.run(&["query", "--store", &url, "--log-level", "info"]);
    let printed = text(&loud.stderr);
    assert!(printed.contains("images counted"), "{printed}");
    assert!(!text(&loud.stdout).contains("images counted"));
}

#[test]
fn help_goes_to_standard_output_and_lists_the_flags_and_the_exit_status() {
    let output = run(PROGRAM, ["query", "--help"], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "");
    let printed = text(&output.stdout).replace('\n', " ");
    for words in [
        "--output",
        "--store",
        "--deadline",
        "with 1 if a store did not",
    ] {
        assert!(printed.contains(words), "{words}: {printed}");
    }
}

#[test]
fn invalid_flags_are_refused_with_the_expected_values() {
    for (arguments, words) in [
        (["--output", "yaml"], "expected table or json"),
        (["--store", "cri+https://localhost"], "expected"),
        (["--deadline", "soon"], "expected a duration"),
        (["--stores", "x"], "--stores"),
    ] {
        let output = run(PROGRAM, ["query"].iter().chain(&arguments), &[]);
        assert_eq!(output.status.code(), Some(EX_CONFIG), "{arguments:?}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        let printed = text(&output.stderr);
        assert!(printed.contains(words), "{arguments:?}: {printed}");
        assert!(!printed.contains("()"), "{arguments:?}: {printed}");
    }
}

#[test]
fn a_real_containerd_is_queried_without_a_service() {
    let containerd = Containerd::start();
    let images = ["docker.io/library/a:1", "registry.k8s.io/b:1"].map(OciImage::named);
    containerd.import(&images);
    let scene = Scene::set();
    let output = scene.run(&["query", "--output=json", "--store", &containerd.url()]);
    assert_eq!(output.status.code(), Some(0));
    let json = parsed(&output);
    let store = &json["stores"][0];
    assert_eq!(store["images"], 2);
    assert_eq!(store["runtime"]["name"], "containerd");
    assert_eq!(store["registry_images"]["registry.k8s.io"], 1);
    assert_eq!(json["trace_id"], scene.agent.next_trace(PATIENCE).id_hex());
}

/// A query of both stores that a test can interrupt.
fn query_of_both(scene: &Scene) -> Builder {
    Service::builder(PROGRAM)
        .arg("query")
        .arg("--log-level=info")
        .store(scene.rkt.url())
        .store(scene.cri.url())
        // `query` has no flag `--listen`; the variable is ignored.
        .listen(Listen::Variable(ReservedPort::reserve().address()))
}

#[test]
fn an_interrupted_query_names_the_stores_that_have_not_answered_and_its_trace_arrives() {
    for (signal, name) in [
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::TERM, "SIGTERM"),
    ] {
        let scene = Scene::set();
        scene.rkt.behave(rkt::Behaviour::Hang);
        let agent = scene.agent.port().to_string();
        let agent = ("OTEL_EXPORTER_JAEGER_AGENT_PORT", agent);
        let command = query_of_both(&scene).env(agent.0, agent.1).spawn();
        scene.rkt.wait_for_calls(1, PATIENCE);
        // Once its side calls have ended, the query waits for rkt only.
        command.wait_for_stderr(|log| log.contains("images counted"), PATIENCE);
        scene.cri.wait_for_open_connections(0, PATIENCE);
        command.signal(signal);
        assert_eq!(command.wait(PATIENCE).code(), Some(1));
        let log = command.stderr();
        assert!(log.contains(" INFO query abandoned"), "{log}");
        assert!(!log.contains("ERROR"), "{log}");
        let words = format!(
            "exp-rkt-grpc: interrupted by {name} before rkt answered; no result was printed"
        );
        assert_eq!(log.lines().last(), Some(words.as_str()), "{log}");
        scene.agent.next_trace(PATIENCE);
    }
}

#[test]
fn a_query_interrupted_while_its_trace_is_sent_reports_that_it_was_not_delivered() {
    let scene = Scene::set();
    let collector = OtlpCollector::bind();
    collector.behave(Behaviour::Hang);
    let command = query_of_both(&scene)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        .spawn();
    collector.next_call(PATIENCE).expect("a trace arrives");
    command.signal(Signal::INT);
    assert_eq!(command.wait(PATIENCE).code(), Some(1));
    let log = command.stderr();
    let words = "the trace was not delivered: interrupted by SIGINT";
    assert!(log.contains(words), "{log}");
}

/// Runs the program until standard output, a small pipe that nobody reads, is full, and sends it this signal.
fn interrupt_at_full_pipe(arguments: &[&str], signal: Signal) -> Output {
    const CAPACITY: usize = 4096;
    let (reader, writer) = std::io::pipe().expect("a pipe");
    fcntl_setpipe_size(&writer, CAPACITY).expect("a pipe can be as small");
    let mut program = Command::new(PROGRAM)
        .args(arguments)
        .env("OTEL_TRACES_EXPORTER", "none")
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    eventually("a full pipe", || {
        let waiting = ioctl_fionread(&reader).expect("a pipe");
        (waiting == CAPACITY as u64).then_some(())
    });
    kill_process(Pid::from_child(&program), signal).expect("it runs");
    eventually("its end", || program.try_wait().expect("it is ours"));
    program.wait_with_output().expect("it has ended")
}

#[test]
fn a_signal_ends_a_program_whose_output_nobody_reads() {
    // More than the pipe holds, as is the help.
    let stores: Vec<String> = (0..100)
        .map(|store| format!("{store}=unix:///run/nowhere.sock"))
        .collect();
    let stores = stores.join(",");
    let query = |format| ["query", "--store", &stores, "--output", format];
    for (arguments, what) in [
        (&query("table")[..], "the result of the query"),
        (&query("json"), "the result of the query"),
        (&["--help"], "the requested text"),
    ] {
        for (signal, name) in [(Signal::INT, "SIGINT"), (Signal::TERM, "SIGTERM")] {
            let output = interrupt_at_full_pipe(arguments, signal);
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            let sentence = format!(
                "exp-rkt-grpc: {what} could not be printed on standard output\n  because: interrupted by {name}\n"
            );
            assert_eq!(text(&output.stderr), sentence);
        }
    }
}

#[test]
fn a_warning_about_a_setting_is_printed_on_standard_error() {
    let store = rkt::StandIn::tcp(rkt::Images::generated(1));
    let environment = [
        ("EXP_RKT_GRPC_STORE", store.url()),
        ("OTEL_SDK_DISABLED", "yes".to_owned()),
        ("OTEL_TRACES_EXPORTER", "none".to_owned()),
    ];
    let environment = environment
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    for arguments in [["query", "--deadline=9s"], ["query", "--max-response=1MiB"]] {
        let output = run(PROGRAM, arguments, &environment);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let printed = text(&output.stderr);
        assert!(
            printed.contains("exp-rkt-grpc: OTEL_SDK_DISABLED is \"yes\""),
            "{printed}"
        );
        let removed = printed.contains("--max-response (EXP_RKT_GRPC_MAX_RESPONSE) was removed");
        assert_eq!(removed, arguments[1].starts_with("--max"), "{printed}");
    }
}
