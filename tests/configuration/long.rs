//! What is wrong and endless is not shown whole.

use super::{EX_CONFIG, PROGRAM, assert_says, run};

/// More than anybody wants to see, and less than an argument may have.
const ENDLESS: usize = 60_000;

/// Refused in a few lines, in which the input can be recognised and is marked as cut.
#[track_caller]
fn assert_refused_in_short(arguments: &[&str], environment: &[(&str, &str)], right: &str) {
    let output = run(PROGRAM, arguments, environment);
    assert_eq!(output.status.code(), Some(EX_CONFIG));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.len() < 1500, "{} bytes", stderr.len());
    assert_says(&stderr, &["xxxxxxxx", "[cut]", right]);
}

fn endless(beginning: &str) -> String {
    format!("{beginning}{}", "x".repeat(ENDLESS))
}

#[test]
fn an_endless_value_of_a_flag_is_cut() {
    for beginning in [
        "",
        "rkt+http://",
        "rkt+http://127.0.0.1:",
        "rkt+unix:",
        "rkt+unix:///",
        "cri+",
        "bad name ",
        "bad name=rkt+http://",
    ] {
        let value = endless(beginning);
        assert_refused_in_short(&["--store", &value], &[], "expected");
        assert_refused_in_short(&[], &[("EXP_RKT_GRPC_STORE", &value)], "expected");
    }
    for flag in ["--deadline", "--listen", "--log-level"] {
        assert_refused_in_short(&[flag, &endless("")], &[], "expected");
    }
    assert_refused_in_short(&["query", "--output", &endless("")], &[], "table");
}

#[test]
fn an_endless_kind_and_an_endless_name_are_cut() {
    let kind = format!("{}+http://127.0.0.1", endless(""));
    assert_refused_in_short(&["--store", &kind], &[], "rkt for");
    let name = format!("{} =rkt+http://127.0.0.1", endless(""));
    assert_refused_in_short(&["--store", &name], &[], "letters");
    let twice = format!("{}=rkt+http://127.0.0.1", endless(""));
    let twice = format!("{twice},{twice}");
    assert_refused_in_short(&[], &[("EXP_RKT_GRPC_STORE", &twice[..])], "two stores");
}

#[test]
fn an_endless_flag_or_command_is_cut() {
    assert_refused_in_short(&[&endless("--")], &[], "--help");
    assert_refused_in_short(&[&endless("")], &[], "--help");
    assert_refused_in_short(&["query", &endless("--")], &[], "--help");
}

#[test]
fn an_endless_variable_of_opentelemetry_is_cut() {
    for (variable, right) in [
        ("OTEL_TRACES_EXPORTER", "jaeger"),
        ("OTEL_EXPORTER_JAEGER_AGENT_HOST", "host name"),
        ("OTEL_EXPORTER_JAEGER_AGENT_PORT", "port"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://HOST:PORT"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_RESOURCE_ATTRIBUTES", "KEY=VALUE"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
    ] {
        assert_refused_in_short(&[], &[(variable, &endless(""))], right);
    }
    let endpoint = [("OTEL_EXPORTER_OTLP_ENDPOINT", &endless("http://")[..])];
    assert_refused_in_short(&[], &endpoint, "http://HOST:PORT");
}

#[test]
fn an_endless_name_of_a_variable_is_cut() {
    let name = endless("EXP_RKT_GRPC_");
    assert_refused_in_short(&[], &[(&name, "1")], "did you mean");
}
