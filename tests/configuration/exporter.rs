//! The choice of the trace exporter, and how the start line reports it.

use lab::service::{Builder, Service};

use super::{
    PROGRAM, announcement, assert_contains, assert_variable_refused, program, refusal, run, store,
};

const JAEGER_HOST: (&str, &str) = ("OTEL_EXPORTER_JAEGER_AGENT_HOST", "127.0.0.9");
const JAEGER_PORT: (&str, &str) = ("OTEL_EXPORTER_JAEGER_AGENT_PORT", "6832");
const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.9");

fn with(variables: &[(&str, &str)]) -> Builder {
    let service = Service::builder(PROGRAM);
    variables
        .iter()
        .fold(service, |service, (name, value)| service.env(name, value))
}

#[track_caller]
fn assert_traces(variables: &[(&str, &str)], traces: &str) {
    let line = announcement(with(variables));
    assert_contains(&line, &[&format!("traces=\"{traces}\"")]);
}

#[test]
fn an_exporter_that_does_not_exist_is_refused() {
    let expected = "jaeger, otlp or none";
    for value in ["zipkin", "otlp,jaeger"] {
        assert_variable_refused("OTEL_TRACES_EXPORTER", value, &[], expected);
    }
}

#[test]
fn an_invalid_port_of_the_agent_is_refused() {
    for value in ["0", "65536", "udp"] {
        assert_variable_refused(JAEGER_PORT.0, value, &[], "1 to 65535");
    }
}

#[test]
fn an_invalid_host_of_the_agent_is_refused() {
    for value in ["jaeger:6831", "::1", "http://jaeger", "two words"] {
        assert_variable_refused(JAEGER_HOST.0, value, &[], "without a port");
    }
}

#[test]
fn the_start_line_shows_the_destination_of_traces_and_the_variables_that_set_it() {
    let traces = |exporter| ("OTEL_TRACES_EXPORTER", exporter);
    assert_traces(&[], "jaeger 127.0.0.1:6831 (default)");
    assert_traces(
        &[traces("jaeger")],
        "jaeger 127.0.0.1:6831 (OTEL_TRACES_EXPORTER)",
    );
    assert_traces(
        &[JAEGER_HOST, JAEGER_PORT],
        "jaeger 127.0.0.9:6832 (OTEL_EXPORTER_JAEGER_AGENT_HOST, OTEL_EXPORTER_JAEGER_AGENT_PORT)",
    );
    assert_traces(
        &[traces("otlp")],
        "otlp http://localhost:4317 (OTEL_TRACES_EXPORTER)",
    );
    assert_traces(
        &[traces("otlp"), ENDPOINT],
        "otlp http://127.0.0.9:4317 (OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_ENDPOINT)",
    );
    assert_traces(&[traces("none"), ENDPOINT], "none (OTEL_TRACES_EXPORTER)");
    assert_traces(&[("OTEL_SDK_DISABLED", "true")], "none (OTEL_SDK_DISABLED)");
}

#[test]
fn an_otlp_endpoint_without_an_exporter_selects_otlp() {
    assert_traces(
        &[ENDPOINT],
        "otlp http://127.0.0.9:4317 (OTEL_EXPORTER_OTLP_ENDPOINT)",
    );
}

#[test]
fn any_other_otlp_variable_without_an_exporter_selects_otlp() {
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_HEADERS", "key=value"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "500"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ] {
        let traces = format!("otlp http://localhost:4317 ({name})");
        assert_traces(&[(name, value)], &traces);
    }
}

#[test]
fn variables_of_both_exporters_without_a_choice_are_refused() {
    for jaeger in [JAEGER_HOST, JAEGER_PORT] {
        let refused = refusal(&run(PROGRAM, [""; 0], &[ENDPOINT, jaeger]));
        assert_contains(&refused, &[ENDPOINT.0, jaeger.0, "OTEL_TRACES_EXPORTER"]);
    }
}

#[test]
fn variables_of_the_exporter_that_is_not_chosen_are_ignored() {
    let nonsense = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_EXPORTER_JAEGER_ENDPOINT", "http://jaeger:14250"),
    ];
    for (exporter, variables) in [
        ("jaeger", &nonsense[..2]),
        ("otlp", &nonsense[2..]),
        ("none", &nonsense[..]),
    ] {
        let service = with(variables).env("OTEL_TRACES_EXPORTER", exporter);
        assert_contains(&announcement(service), &[exporter]);
    }
}

#[test]
fn otel_sdk_disabled_with_an_unknown_value_counts_as_false_and_causes_a_warning() {
    let service = program()
        .env("OTEL_SDK_DISABLED", "yes")
        .store(store().url())
        .start();
    assert!(service.stop().success());
    let stderr = service.stderr();
    let mut warnings = stderr.lines().filter(|line| line.contains(" WARN "));
    let warning = warnings.next().expect("a warning is logged");
    assert_contains(warning, &["OTEL_SDK_DISABLED", "yes", "true or false"]);
    assert_eq!(warnings.next(), None);
}

#[test]
fn unsupported_variables_are_refused_with_the_reason() {
    for (name, reason) in [
        ("OTEL_BSP_SCHEDULE_DELAY", "no batches"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "no batches"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "no batches"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "no batches"),
        ("OTEL_BSP_MAX_CONCURRENT_EXPORTS", "no batches"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_EVENT_COUNT_LIMIT"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_"),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_"),
        ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_"),
        ("OTEL_CONFIG_FILE", "files"),
        ("OTEL_EXPERIMENTAL_CONFIG_FILE", "files"),
        ("OTEL_EXPORTER_JAEGER_ENDPOINT", "UDP"),
        ("OTEL_EXPORTER_JAEGER_PROTOCOL", "UDP"),
        ("OTEL_EXPORTER_JAEGER_TIMEOUT", "UDP"),
        ("OTEL_EXPORTER_JAEGER_USER", "UDP"),
        ("OTEL_EXPORTER_JAEGER_PASSWORD", "UDP"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "TLS"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "TLS"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "TLS"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "TLS"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "TLS"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "TLS"),
    ] {
        let refused = refusal(&run(PROGRAM, [""; 0], &[(name, "1234")]));
        assert_contains(&refused, &[name, "not supported", reason]);
        assert!(!refused.contains("1234"), "{refused}");
    }
}

#[test]
fn variables_for_metrics_and_logs_are_ignored() {
    assert_traces(
        &[
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://metrics"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/protobuf"),
            ("OTEL_METRICS_EXPORTER", "prometheus"),
            ("OTEL_LOGS_EXPORTER", "console"),
            ("OTEL_BLRP_SCHEDULE_DELAY", "1"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1"),
        ],
        "jaeger 127.0.0.1:6831 (default)",
    );
}

#[test]
fn propagators_other_than_tracecontext_are_refused() {
    for list in [
        "tracecontext",
        "tracecontext,baggage",
        "baggage, tracecontext",
        " tracecontext , ",
    ] {
        let service = with(&[("OTEL_PROPAGATORS", list)]);
        assert_contains(&announcement(service), &["jaeger"]);
    }
    for list in ["b3", "none", "baggage", "tracecontext,b3", ","] {
        assert_variable_refused("OTEL_PROPAGATORS", list, &[], "tracecontext");
    }
}
