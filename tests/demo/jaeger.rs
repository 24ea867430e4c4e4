//! `make demo JAEGER=1`: with the Jaeger of this host, or one of the demo's own.

use std::path::PathBuf;

use lab::service::run;
use lab::{jaeger, skip};

use super::{demo, step};

/// Runs `$2 --jaeger` in a network of its own; with a Jaeger in it, if `$1` is one.
const WITH_JAEGER: &str = r#"
ip link set lo up
if [ -n "$1" ]; then
    "$1" >/dev/null 2>&1 &
    until curl --silent --fail --output /dev/null 127.0.0.1:13133/status; do sleep 0.1; done
fi
exec "$2" --jaeger
"#;

/// The output of the demo with a Jaeger on this host, or with one that it starts itself. `None` if there is no Jaeger.
fn shown_with_jaeger(on_this_host: bool) -> Option<String> {
    let program = jaeger::program()?;
    let alone = ["--net", "--pid", "--fork", "--kill-child"];
    let unshare = |rest: &[&str]| run("unshare", alone.iter().chain(rest), &[]);
    if !unshare(&["true"]).status.success() {
        skip::loudly("only root can create a network namespace");
        return None;
    }
    let program = if on_this_host {
        program
    } else {
        PathBuf::new()
    };
    let (program, demo) = (program.display().to_string(), demo().display().to_string());
    let output = unshare(&["sh", "-ec", WITH_JAEGER, "sh", &program, &demo]);
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).expect("the output is UTF-8"))
}

/// The ids in the log lines of the demo's queries, and those in the addresses of their traces.
fn logged_and_linked<'a>(shown: &'a str, address: &str) -> [Vec<&'a str>; 2] {
    let after = |start: &str| -> Vec<&'a str> {
        let rests = shown.split(start).skip(1);
        rests
            .filter_map(|rest| rest.split_whitespace().next())
            .collect()
    };
    [after("trace_id="), after(&format!("In Jaeger: {address}"))]
}

#[test]
fn with_a_jaeger_on_this_host_the_demo_sends_to_it_and_shows_the_addresses_of_the_traces_in_its_ui()
{
    let Some(shown) = shown_with_jaeger(true) else {
        return;
    };
    assert!(
        shown.contains("The Jaeger of this host (127.0.0.1:16686)"),
        "{shown}"
    );
    assert!(
        shown.contains("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317"),
        "{shown}"
    );
    let [logged, linked] = logged_and_linked(&shown, "http://127.0.0.1:16686/trace/");
    assert_eq!(logged.len(), 3, "{shown}");
    assert_eq!(linked, logged);
}

#[test]
fn without_a_jaeger_on_this_host_the_demo_starts_one_and_shows_the_addresses_in_its_api() {
    let Some(shown) = shown_with_jaeger(false) else {
        return;
    };
    assert!(
        shown.contains("No Jaeger listens at 127.0.0.1:16686."),
        "{shown}"
    );
    let host = shown.split("OTEL_EXPORTER_JAEGER_AGENT_HOST=").nth(1);
    let host = host.and_then(|rest| rest.split_whitespace().next());
    let api = format!("http://{}:26686/api/traces/", host.unwrap_or_default());
    let [logged, linked] = logged_and_linked(&shown, &api);
    assert_eq!(logged.len(), 3, "{shown}");
    assert_eq!(linked, logged);
    let trace = step(&shown, "The trace of that query");
    assert!(
        trace.contains("\n├─ v1alpha.PublicAPI/ListImages "),
        "{trace}"
    );
}
