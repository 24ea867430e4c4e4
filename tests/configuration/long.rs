//! Error messages truncate overlong input.

use super::{EX_CONFIG, PROGRAM, assert_contains, run};

/// Too long to print, but within the kernel's limit for an argument.
const ENDLESS: usize = 60_000;

/// The program refuses the input in a few lines, which show its beginning and mark it as cut.
#[track_caller]
fn assert_refused_briefly(arguments: &[&str], environment: &[(&str, &str)], expected: &str) {
    let output = run(PROGRAM, arguments, environment);
    assert_eq!(output.status.code(), Some(EX_CONFIG));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.len() < 1500, "{} bytes", stderr.len());
    assert_contains(&stderr, &["xxxxxxxx", "[cut]", expected]);
}

fn endless(beginning: &str) -> String {
    format!("{beginning}{}", "x".repeat(ENDLESS))
}

#[test]
fn an_overlong_value_of_a_flag_is_truncated_in_the_message() {
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
        assert_refused_briefly(&["--store", &value], &[], "expected");
        assert_refused_briefly(&[], &[("EXP_RKT_GRPC_STORE", &value)], "expected");
    }
    for flag in ["--deadline", "--listen", "--log-level"] {
        assert_refused_briefly(&[flag, &endless("")], &[], "expected");
    }
    assert_refused_briefly(&["query", "--output", &endless("")], &[], "table");
}

#[test]
fn an_overlong_kind_and_an_overlong_name_are_truncated_in_the_message() {
    let kind = format!("{}+http://127.0.0.1", endless(""));
    assert_refused_briefly(&["--store", &kind], &[], "rkt for");
    let name = format!("{} =rkt+http://127.0.0.1", endless(""));
    assert_refused_briefly(&["--store", &name], &[], "letters");
    let twice = format!("{}=rkt+http://127.0.0.1", endless(""));
    let twice = format!("{twice},{twice}");
    assert_refused_briefly(&[], &[("EXP_RKT_GRPC_STORE", &twice[..])], "two stores");
}

#[test]
fn an_overlong_flag_or_command_is_truncated_in_the_message() {
    assert_refused_briefly(&[&endless("--")], &[], "--help");
    assert_refused_briefly(&[&endless("")], &[], "--help");
    assert_refused_briefly(&["query", &endless("--")], &[], "--help");
}

#[test]
fn an_overlong_opentelemetry_variable_is_truncated_in_the_message() {
    for (variable, expected) in [
        ("OTEL_TRACES_EXPORTER", "jaeger"),
        ("OTEL_EXPORTER_JAEGER_AGENT_HOST", "host name"),
        ("OTEL_EXPORTER_JAEGER_AGENT_PORT", "port"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://HOST:PORT"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_RESOURCE_ATTRIBUTES", "KEY=VALUE"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
    ] {
        assert_refused_briefly(&[], &[(variable, &endless(""))], expected);
    }
    let endpoint = [("OTEL_EXPORTER_OTLP_ENDPOINT", &endless("http://")[..])];
    assert_refused_briefly(&[], &endpoint, "http://HOST:PORT");
}

#[test]
fn an_overlong_name_of_a_variable_is_truncated_in_the_message() {
    let name = endless("EXP_RKT_GRPC_");
    assert_refused_briefly(&[], &[(&name, "1")], "did you mean");
}
