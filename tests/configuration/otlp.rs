//! Invalid values of the variables of the exporter `otlp`; `tests/traces/otlp.rs` tests the effect of valid ones.

use super::{
    PROGRAM, announcement, assert_contains, assert_variable_refused, program, refusal, run,
};

const OTLP: [(&str, &str); 1] = [("OTEL_TRACES_EXPORTER", "otlp")];

/// The value is refused in the general variable, and in the one for traces even if the general one is valid.
#[track_caller]
fn assert_option_refused(option: &str, value: &str, good: &str, expected: &str) {
    let general = format!("OTEL_EXPORTER_OTLP_{option}");
    let of_traces = format!("OTEL_EXPORTER_OTLP_TRACES_{option}");
    assert_variable_refused(&general, value, &OTLP, expected);
    assert_variable_refused(&of_traces, value, &[(&general, good)], expected);
    // The general variable is not read if the one for traces is set.
    let service = program()
        .env("OTEL_TRACES_EXPORTER", "otlp")
        .env(general, value)
        .env(of_traces, good);
    assert_contains(&announcement(service), &["traces=\"otlp "]);
}

#[test]
fn an_invalid_endpoint_is_refused() {
    for value in [
        "https://collector:4317",
        "collector:4317",
        "/collector",
        "http://collector:4318/v1/traces",
        "http://::1:4317",
        "http://collector:70000",
    ] {
        assert_option_refused("ENDPOINT", value, "http://127.0.0.1:1", "http://HOST:PORT");
    }
}

#[test]
fn a_password_in_an_endpoint_is_refused_and_not_shown() {
    for value in ["http://user:secret@collector", "user:secret@collector:4317"] {
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", value),
            ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
        ];
        let refused = refusal(&run(PROGRAM, [""; 0], &environment));
        assert_contains(
            &refused,
            &["OTEL_EXPORTER_OTLP_ENDPOINT", "a user name and a password"],
        );
        assert!(!refused.contains("secret"), "{refused}");
    }
}

#[test]
fn a_protocol_other_than_grpc_is_refused_by_name() {
    for value in ["http/protobuf", "http/json", "gRPC"] {
        assert_option_refused("PROTOCOL", value, "grpc", "expected grpc");
    }
}

#[test]
fn a_protocol_other_than_grpc_is_refused_even_if_no_exporter_is_chosen() {
    let variable = "OTEL_EXPORTER_OTLP_PROTOCOL";
    assert_variable_refused(variable, "http/protobuf", &[], "expected grpc");
}

#[test]
fn a_compression_is_refused_by_name() {
    for value in ["gzip", "zstd"] {
        assert_option_refused("COMPRESSION", value, "none", "expected none");
    }
}

#[test]
fn a_timeout_out_of_range_is_refused() {
    for value in ["0", "600001", "10s", "-1", "1.5"] {
        assert_option_refused("TIMEOUT", value, "600000", "1 to 600000");
    }
}

#[test]
fn an_endpoint_without_a_scheme_is_accepted_if_insecure_is_set() {
    for variable in [
        "OTEL_EXPORTER_OTLP_INSECURE",
        "OTEL_EXPORTER_OTLP_TRACES_INSECURE",
    ] {
        let service = program()
            .env("OTEL_TRACES_EXPORTER", "otlp")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.9")
            .env(variable, "true");
        assert_contains(&announcement(service), &["otlp http://127.0.0.9:4317"]);
    }
}

#[test]
fn headers_that_cannot_be_sent_are_refused_without_showing_them() {
    for value in [
        "a=1,hush",
        "a=1,=hush",
        "a=1,b=hush%zz",
        "a=1,b=hush%0A",
        "a=1,b=h%C3%BCsh",
        "a=1,two words=hush",
        "a=1,grpc-timeout=hush",
        "a=1,Content-Type=hush",
        "a=1,key-bin=hush",
    ] {
        let variable = "OTEL_EXPORTER_OTLP_HEADERS";
        let refused = refusal(&run(PROGRAM, [""; 0], &[(variable, value)]));
        assert_contains(&refused, &[variable, "KEY=VALUE", "entry 2"]);
        assert!(!refused.contains("hush"), "{refused}");
    }
}
