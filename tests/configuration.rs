//! Flags and environment variables: what they set, and how invalid values are refused.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::process::Output;

use exp_rkt_grpc::config::VARIABLES;
use lab::rkt_api_service::{Behaviour, Images, StandIn};
use lab::service::{Builder, Endpoint, Listen, PATIENCE, ReservedPort, Service, http, run};

#[path = "configuration/exporter.rs"]
mod exporter;
#[path = "configuration/long.rs"]
mod long;
#[path = "configuration/otlp.rs"]
mod otlp;
#[path = "configuration/sampling.rs"]
mod sampling;
#[path = "configuration/service_file.rs"]
mod service_file;
#[path = "configuration/unknown.rs"]
mod unknown;

const PROGRAM: &str = env!("CARGO_BIN_EXE_exp-rkt-grpc");

/// `EX_CONFIG` of sysexits.h.
const EX_CONFIG: i32 = 78;

/// Every flag that takes a value, with its variable.
const SETTINGS: [(&str, &str); 5] = [
    ("--store", "EXP_RKT_GRPC_STORE"),
    ("--deadline", "EXP_RKT_GRPC_DEADLINE"),
    ("--listen", "EXP_RKT_GRPC_LISTEN"),
    ("--trace-url", "EXP_RKT_GRPC_TRACE_URL"),
    ("--log-level", "EXP_RKT_GRPC_LOG"),
];

const SWITCH: &str = "EXP_RKT_GRPC_QUERY_AT_START";

/// Without traces: the tests must not send any to an agent at the default port.
fn program() -> Builder {
    Service::builder(PROGRAM).env("OTEL_TRACES_EXPORTER", "none")
}

fn store() -> StandIn {
    StandIn::tcp(Images::generated(7))
}

/// The line in which the program refuses its configuration; panics unless it prints exactly one.
#[track_caller]
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(EX_CONFIG), "{output:?}");
    assert_eq!(output.stdout, b"");
    let stderr = String::from_utf8(output.stderr.clone()).expect("the message is UTF-8");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("exp-rkt-grpc: "), "{stderr}");
    stderr
}

#[track_caller]
fn assert_contains(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
}

/// The value is refused with the names of flag and variable, whichever of them it comes from.
#[track_caller]
fn assert_refused(flag: &str, value: &str, expected: &str) {
    let variable = SETTINGS.iter().find(|setting| setting.0 == flag);
    let (_, variable) = variable.expect("every flag has a variable");
    let by_flag = run(PROGRAM, [format!("{flag}={value}")], &[]);
    let parts = [flag, variable, &format!("{value:?}"), expected];
    assert_contains(&refusal(&by_flag), &parts);
    // An empty variable counts as unset.
    if !value.is_empty() {
        let by_variable = run(PROGRAM, [""; 0], &[(variable, value)]);
        assert_eq!(refusal(&by_variable), refusal(&by_flag));
    }
}

#[track_caller]
fn assert_variable_refused(variable: &str, value: &str, others: &[(&str, &str)], expected: &str) {
    let environment: Vec<_> = others.iter().copied().chain([(variable, value)]).collect();
    let refused = run(PROGRAM, [""; 0], &environment);
    assert_contains(
        &refusal(&refused),
        &[variable, &format!("{value:?}"), expected],
    );
}

/// The program's standard output; panics unless it succeeds without a message.
fn text(argument: &str) -> String {
    let output = run(PROGRAM, [argument], &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stderr, b"");
    String::from_utf8(output.stdout).expect("the output is UTF-8")
}

/// The line that a service logs once it is ready.
fn announcement(builder: Builder) -> String {
    let service = builder.start();
    assert!(service.stop().success());
    let stderr = service.stderr();
    let first = stderr.lines().find(|line| line.contains("serving metrics"));
    first.expect("the service logs it").to_owned()
}

fn startup_queries(service: &Service) -> Option<f64> {
    let labels = [("trigger", "startup")];
    service
        .scrape()
        .value("exp_rkt_grpc_triggers_total", &labels)
}

#[test]
fn an_invalid_store_is_refused() {
    for value in [
        "docker+http://127.0.0.1",
        "rkt+https://127.0.0.1",
        "rkt",
        "/run/containerd/containerd.sock",
        ",",
        "",
    ] {
        assert_refused("--store", value, "expected");
    }
}

#[test]
fn of_several_stores_the_error_names_the_invalid_one() {
    let value = "a=rkt+http://127.0.0.1:1,b=rkt+ftp://127.0.0.1:1";
    let refused = run(PROGRAM, [""; 0], &[("EXP_RKT_GRPC_STORE", value)]);
    assert_contains(&refusal(&refused), &["\"b=rkt+ftp://127.0.0.1:1\""]);
}

#[test]
fn blanks_after_commas_and_trailing_commas_are_ignored() {
    let stores = "a=rkt+http://127.0.0.1:1, b=rkt+unix:///run/b.sock ,,";
    for builder in [
        program().env("EXP_RKT_GRPC_STORE", stores),
        program().store(stores),
    ] {
        let line = announcement(builder);
        assert_contains(
            &line,
            &["=a=rkt+http://127.0.0.1:1,b=rkt+unix:///run/b.sock "],
        );
    }
}

#[test]
fn an_endpoint_as_crictl_spells_it_is_a_cri_store() {
    for (spelt, store) in [
        ("unix:///run/x.sock", "cri=cri+unix:///run/x.sock"),
        ("k8s=unix:///run/x=y.sock", "k8s=cri+unix:///run/x=y.sock"),
        ("unix:///run/a+b.sock", "cri=cri+unix:///run/a+b.sock"),
    ] {
        assert_contains(&announcement(program().store(spelt)), &[store]);
    }
}

#[test]
fn a_password_in_a_store_is_refused_and_not_shown() {
    let refused = refusal(&run(PROGRAM, ["--store=rkt+http://user:secret@a:1"], &[]));
    assert_contains(
        &refused,
        &["\"rkt+http://…@a:1\"", "a user name and a password"],
    );
    assert!(!refused.contains("secret"), "{refused}");
}

#[test]
fn an_invalid_trace_url_is_refused_and_its_password_not_shown() {
    for value in ["http://127.0.0.1:16686/trace/", "/trace/{trace_id}", ""] {
        assert_refused("--trace-url", value, "expected a URL such as http://");
    }
    let arguments = ["--trace-url=http://user:secret@a/{trace_id}"];
    let refused = refusal(&run(PROGRAM, arguments, &[]));
    assert_contains(&refused, &["\"http://…@a/{trace_id}\"", "a password"]);
    assert!(!refused.contains("secret"), "{refused}");
}

#[test]
fn two_stores_with_the_same_name_are_refused() {
    let stores = ["--store=rkt+http://a:1", "--store=rkt+http://b:1"];
    let refused = refusal(&run(PROGRAM, stores, &[]));
    assert_contains(
        &refused,
        &["\"rkt\"", "--store", "EXP_RKT_GRPC_STORE", "NAME="],
    );
}

#[test]
fn a_deadline_out_of_range_is_refused() {
    for value in ["0s", "999us", "24h 1ms", "2 days", "60", "-1s", "soon", ""] {
        assert_refused("--deadline", value, "1ms to 24h");
    }
}

#[test]
fn a_deadline_that_looks_like_a_flag_is_refused_as_a_deadline() {
    for arguments in [&["--deadline", "-1s"][..], &["query", "--deadline", "-1s"]] {
        let refused = refusal(&run(PROGRAM, arguments, &[]));
        let said = ["EXP_RKT_GRPC_DEADLINE", "\"-1s\"", "1ms to 24h"];
        assert_contains(&refused, &said);
    }
}

#[test]
fn an_ipv6_address_of_a_store_is_refused_unless_it_is_one_in_brackets() {
    for (value, right) in [
        ("rkt+http://::1:15441", "must be in brackets"),
        ("rkt+http://[::1", "the closing bracket is missing"),
        ("rkt+http://[::1:15441", "the closing bracket is missing"),
        ("rkt+http://[fe80::1%eth0]:15441", "a zone (%eth0)"),
        (
            "rkt+http://[store]:15441",
            "\"store\" is not an IPv6 address",
        ),
    ] {
        assert_refused("--store", value, right);
        assert_refused("--store", value, "http://[::1]:15441");
    }
}

#[test]
fn an_invalid_listen_address_is_refused() {
    for value in [
        "33333",
        ":33333",
        "localhost:33333",
        "127.0.0.1",
        "127.0.0.1:65536",
    ] {
        assert_refused("--listen", value, "127.0.0.1:33333");
    }
}

#[test]
fn a_log_level_that_does_not_exist_is_refused() {
    for value in ["loud", "exp_rkt_grpc=loud", "h2", ""] {
        assert_refused("--log-level", value, "off, error, warn, info, debug");
    }
}

#[test]
fn an_invalid_value_of_a_switch_is_refused() {
    let refused = run(PROGRAM, [""; 0], &[(SWITCH, "maybe")]);
    let parts = ["--query-at-start", SWITCH, "\"maybe\"", "true or false"];
    assert_contains(&refusal(&refused), &parts);
}

#[test]
fn a_switch_with_a_value_is_refused_with_the_variable_that_takes_one() {
    for value in ["true", "false", ""] {
        let refused = refusal(&run(PROGRAM, [format!("--query-at-start={value}")], &[]));
        let sentence = format!("--query-at-start takes no value, but was given {value:?}: ");
        let right = "remove the value, or set EXP_RKT_GRPC_QUERY_AT_START to true or false";
        assert_contains(&refused, &[&sentence, right]);
    }
}

#[test]
fn a_flag_without_its_value_is_refused_with_the_expected_form() {
    for (flag, expected) in [
        ("--store", "KIND+URL"),
        ("--deadline", "DURATION"),
        ("--listen", "IP:PORT"),
        ("--log-level", "FILTER"),
    ] {
        let output = run(PROGRAM, [flag], &[]);
        assert_eq!(output.status.code(), Some(EX_CONFIG));
        let stderr = String::from_utf8_lossy(&output.stderr);
        let sentence = stderr.trim_end();
        assert!(
            !sentence.ends_with(':'),
            "nothing follows the colon: {sentence}"
        );
        assert_contains(sentence, &[flag, expected]);
    }
}

#[test]
fn a_variable_that_is_not_utf_8_is_refused_by_name() {
    let flags = SETTINGS.iter().map(|setting| setting.1);
    for variable in flags.chain(VARIABLES.iter().map(|variable| variable.name)) {
        // The variables of the other exporter are not read.
        let exporter = if variable.contains("_OTLP_") {
            "otlp"
        } else {
            "jaeger"
        };
        let mut builder = Service::builder("sh")
            .arg("-c")
            .arg("exec \"$0\"")
            .arg(PROGRAM);
        if variable != "OTEL_TRACES_EXPORTER" {
            builder = builder.env("OTEL_TRACES_EXPORTER", exporter);
        }
        if variable == "OTEL_TRACES_SAMPLER_ARG" {
            builder = builder.env("OTEL_TRACES_SAMPLER", "traceidratio");
        }
        let service = builder.env(variable, OsStr::from_bytes(b"\xff")).spawn();
        assert_eq!(service.wait(PATIENCE).code(), Some(EX_CONFIG), "{variable}");
        assert_contains(&service.stderr(), &[variable, "UTF-8"]);
    }
}

#[test]
fn a_flag_that_does_not_exist_is_refused_by_name() {
    for argument in ["--frobnicate", "positional"] {
        let output = run(PROGRAM, [argument], &[]);
        assert_eq!(output.status.code(), Some(EX_CONFIG));
        assert_contains(
            &String::from_utf8_lossy(&output.stderr),
            &[argument, "--help"],
        );
    }
}

#[test]
fn help_names_every_flag_and_every_variable() {
    let help = text("--help");
    for (flag, variable) in SETTINGS {
        assert_contains(&help, &[flag, variable]);
    }
    assert_contains(&help, &["--query-at-start", SWITCH]);
    for variable in VARIABLES {
        assert_contains(&help, &[variable.name]);
    }
}

#[test]
fn help_begins_with_a_command_to_try() {
    let help = text("--help");
    let (about, _) = help.split_once("Usage:").expect("a section");
    assert_contains(about, &["exp-rkt-grpc query --store cri+unix:///"]);
}

#[test]
fn help_names_every_signal() {
    let help = text("--help");
    assert_contains(&help, &["SIGQUIT", "SIGTERM", "SIGINT", "SIGHUP"]);
}

#[test]
fn help_names_every_exit_status() {
    let help = text("--help");
    let (_, statuses) = help
        .split_once("Exit status:")
        .expect("the help has this section");
    for status in ["0", "1", "78"] {
        let mut lines = statuses.lines().map(str::split_whitespace);
        assert!(
            lines.any(|mut words| words.next() == Some(status)),
            "{help}"
        );
    }
}

#[test]
fn help_names_every_default() {
    let help = text("--help");
    let flags = [
        "rkt+http://127.0.0.1:15441",
        "60s",
        "127.0.0.1:33333",
        "info",
    ];
    let variables = VARIABLES.iter().map(|variable| variable.default);
    for default in flags.into_iter().chain(variables) {
        if !default.is_empty() {
            assert_contains(&help, &[&format!("[default: {default}]")]);
        }
    }
}

#[test]
fn help_is_at_most_100_columns_wide() {
    let help = text("--help");
    assert!(help.lines().all(|line| line.len() <= 100), "{help}");
}

#[test]
fn the_version_is_that_of_the_package() {
    let version = text("--version");
    let expected = concat!("exp-rkt-grpc ", env!("CARGO_PKG_VERSION"));
    assert!(version.starts_with(expected), "{version}");
    assert_eq!(version.lines().count(), 1);
}

#[test]
fn without_a_store_the_local_rkt_is_queried() {
    assert_contains(
        &announcement(program()),
        &["rkt=rkt+http://127.0.0.1:15441"],
    );
}

#[test]
fn without_an_address_the_service_listens_at_port_33333_of_loopback() {
    // In a new network namespace, if this process may create one. Binding may fail there, but the error names the address too.
    let script = "unshare --net true 2>&- && exec unshare --net \"$0\"; exec \"$0\"";
    let service = Service::builder("sh")
        .arg("-c")
        .arg(script)
        .arg(PROGRAM)
        .unsupervised()
        .spawn();
    let named = |text: &str| text.contains("127.0.0.1:33333");
    service.wait_for_stderr(named, PATIENCE);
}

#[test]
fn empty_variables_count_as_unset() {
    let variables = SETTINGS.iter().map(|setting| setting.1);
    let traces = VARIABLES.iter().map(|variable| variable.name);
    let misspelt = ["EXP_RKT_GRPC_STROE", "OTEL_BSP_SCHEDULE_DELAY"];
    let variables = variables.chain(traces).chain([SWITCH]).chain(misspelt);
    let empty = variables.fold(Service::builder(PROGRAM), |builder, variable| {
        builder.env(variable, "")
    });
    assert_contains(&announcement(empty), &["rkt=rkt+http://127.0.0.1:15441"]);
}

#[test]
fn a_variable_sets_the_stores() {
    let stores = "a=rkt+http://127.0.0.1:1,b=rkt+unix:///run/b.sock";
    let line = announcement(program().env("EXP_RKT_GRPC_STORE", stores));
    assert_contains(&line, &[stores]);
}

#[test]
fn the_flag_for_stores_wins_over_the_variable() {
    let line = announcement(
        program()
            .env("EXP_RKT_GRPC_STORE", "a=rkt+http://127.0.0.1:1")
            .store("b=rkt+http://127.0.0.1:2"),
    );
    assert!(!line.contains("a=rkt"), "{line}");
    assert_contains(&line, &["b=rkt+http://127.0.0.1:2"]);
}

#[test]
fn a_variable_sets_the_deadline() {
    let store = store();
    store.behave(Behaviour::Hang);
    let service = program()
        .store(store.url())
        .env("EXP_RKT_GRPC_DEADLINE", "50ms")
        .start();
    assert_contains(&service.query(), &["query failed"]);
}

#[test]
fn the_flag_for_the_deadline_wins_over_the_variable() {
    let store = store();
    store.behave(Behaviour::Hang);
    let service = program()
        .store(store.url())
        .env("EXP_RKT_GRPC_DEADLINE", "24h")
        .arg("--deadline=50ms")
        .start();
    assert_contains(&service.query(), &["query failed"]);
}

#[test]
fn a_flag_wins_over_an_invalid_variable() {
    let service = program()
        .env("EXP_RKT_GRPC_DEADLINE", "never")
        .arg("--deadline=1s")
        .start();
    assert!(service.stop().success());
}

#[test]
fn the_shortest_and_the_longest_deadline_are_accepted() {
    let store = store();
    for deadline in ["1ms", "24h", "1day", "86400s"] {
        let service = program()
            .store(store.url())
            .arg("--deadline")
            .arg(deadline)
            .start();
        assert!(service.query().starts_with("rkt: "));
    }
}

#[test]
fn a_variable_sets_the_address() {
    let port = ReservedPort::reserve();
    let service = program().listen(Listen::Variable(port.address())).start();
    assert_eq!(service.get("/metrics").status, 200);
}

#[test]
fn the_flag_for_the_address_wins_over_the_variable() {
    let unused = ReservedPort::reserve();
    let service = program()
        .env("EXP_RKT_GRPC_LISTEN", unused.address().to_string())
        .start();
    assert_eq!(service.get("/metrics").status, 200);
    let refused = http::Connection::open(Endpoint::from(unused.address()));
    assert!(refused.is_err());
}

#[test]
fn with_port_0_the_log_shows_the_port_that_was_chosen() {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let service = program().listen(Listen::Flag(any)).start();
    let announced = |text: &str| text.contains("serving metrics");
    let line = service.wait_for_stderr(announced, PATIENCE);
    let address = line
        .split("address=")
        .nth(1)
        .expect("the line has the address");
    let address: SocketAddr = address
        .split(' ')
        .next()
        .and_then(|address| address.parse().ok())
        .expect("it is a socket address");
    let response = http::get(address, "/metrics").expect("the service answers there");
    assert_eq!(response.status, 200);
}

#[test]
fn a_variable_sets_the_log_level_and_the_flag_wins() {
    let quiet = program().env("EXP_RKT_GRPC_LOG", "off").start();
    assert!(quiet.stop().success());
    assert_eq!(quiet.stderr(), "");
    let line = announcement(
        program()
            .env("EXP_RKT_GRPC_LOG", "off")
            .arg("--log-level=info"),
    );
    assert_contains(&line, &["INFO"]);
}

#[test]
fn no_query_runs_at_the_start_by_default() {
    for value in [None, Some("false"), Some("no"), Some("off"), Some("0")] {
        let builder = match value {
            Some(value) => program().env(SWITCH, value),
            None => program(),
        };
        assert_eq!(startup_queries(&builder.start()), Some(0.0), "{value:?}");
    }
}

#[test]
fn the_variable_of_the_switch_enables_a_query_at_the_start() {
    for value in ["true", "yes", "on", "1", "TRUE"] {
        let store = store();
        let service = program().store(store.url()).env(SWITCH, value).start();
        service.wait_for_status(PATIENCE);
        assert_eq!(startup_queries(&service), Some(1.0), "{value:?}");
    }
}

#[test]
fn the_switch_enables_a_query_at_the_start_even_if_its_variable_is_false() {
    let store = store();
    let service = program()
        .store(store.url())
        .env(SWITCH, "false")
        .arg("--query-at-start")
        .start();
    service.wait_for_status(PATIENCE);
    assert_eq!(startup_queries(&service), Some(1.0));
}
