//! Misspelt variables, flags and commands.

use super::{PROGRAM, assert_contains, program, refusal, run};

#[track_caller]
fn assert_unknown(variable: &str, nearest: &str) {
    for arguments in [&[][..], &["query"]] {
        let refused = refusal(&run(PROGRAM, arguments, &[(variable, "value")]));
        let unknown = format!("unknown variable {variable:?}: did you mean {nearest}?");
        assert_contains(&refused, &[&unknown, "--help"]);
    }
}

#[test]
fn a_misspelt_variable_is_refused_with_the_nearest_name() {
    for (misspelt, nearest) in [
        ("EXP_RKT_GRPC_STROE", "EXP_RKT_GRPC_STORE"),
        ("EXP_RKT_GRPC_STORES", "EXP_RKT_GRPC_STORE"),
        ("EXP_RKT_GRPC_LISTEN_ADDRESS", "EXP_RKT_GRPC_LISTEN"),
        ("EXP_RKT_GRPC_LOG_LEVEL", "EXP_RKT_GRPC_LOG"),
        ("EXP_RTK_GRPC_DEADLINE", "EXP_RKT_GRPC_DEADLINE"),
        ("exp_rkt_grpc_query_at_start", "EXP_RKT_GRPC_QUERY_AT_START"),
    ] {
        assert_unknown(misspelt, nearest);
    }
}

#[test]
fn a_misspelt_opentelemetry_variable_is_refused_with_the_nearest_name() {
    for (misspelt, nearest) in [
        ("OTEL_TRACE_EXPORTER", "OTEL_TRACES_EXPORTER"),
        ("OTEL_EXPORTER_OTLP_ENDPIONT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        ),
        ("OTEL_SERVICENAME", "OTEL_SERVICE_NAME"),
    ] {
        assert_unknown(misspelt, nearest);
    }
}

#[test]
fn variables_that_resemble_none_of_ours_are_ignored() {
    let service = program()
        .env("EXP_RKT", "1")
        .env("RKT_GRPC_STORE", "1")
        .env("STORE", "1")
        .env("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "1")
        .start();
    assert!(service.stop().success());
}

#[test]
fn a_flag_of_the_service_is_refused_by_query() {
    for (flag, value) in [("--listen", "=127.0.0.1:1"), ("--query-at-start", "")] {
        let flag_with_value = format!("{flag}{value}");
        for arguments in [["query", &flag_with_value], [&flag_with_value, "query"]] {
            let refused = refusal(&run(PROGRAM, arguments, &[]));
            let sentence = format!("{flag} is a flag of the service, not of query: leave it out");
            assert_contains(&refused, &[&sentence]);
        }
    }
}

#[test]
fn a_flag_of_query_is_refused_before_that_word() {
    for arguments in [&["--output", "json", "query"][..], &["--output=json"]] {
        let refused = refusal(&run(PROGRAM, arguments, &[]));
        assert_contains(
            &refused,
            &["--output is a flag of query: put it after \"query\""],
        );
    }
}

#[test]
fn a_misspelt_command_is_refused_with_the_nearest_one() {
    let refused = refusal(&run(PROGRAM, ["querry"], &[]));
    assert_contains(&refused, &["unknown command querry: did you mean query?"]);
}

#[test]
fn a_misspelt_flag_is_refused_with_the_nearest_name() {
    let output = run(PROGRAM, ["--stroe=rkt+http://127.0.0.1"], &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let sentence = "exp-rkt-grpc: unknown flag --stroe: did you mean --store? exp-rkt-grpc --help lists all of them\n";
    assert_eq!(stderr, sentence);
}
