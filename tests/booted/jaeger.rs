//! A real Jaeger without any setting receives the traces of the installed service.

use lab::jaeger::{self, Api, USUAL};
use lab::jaeger_agent::Trace;
use lab::poll::eventually;
use lab::rkt_api_service::Images;

use crate::host::{Host, localhost};

const JAEGER: &str = "/usr/local/bin/jaeger";
const COUNTED: &str = "MESSAGE_ID=639706cf8d6a4a389604c9f92f4f82c9";

/// Runs a query, and returns its trace: Jaeger has it under the id that the journal has.
#[track_caller]
fn trace_of_query(host: &Host, queries: usize) -> Trace {
    host.query();
    let entry = eventually("the entry", || {
        let entries = host.machine.journal([COUNTED]);
        entries.get(queries - 1).cloned()
    });
    let field = |name: &str| entry[name].as_str().unwrap_or_default();
    let api = Api::at(localhost(USUAL.query));
    let trace = host
        .machine
        .network(|| api.trace(field("TRACE_ID"), "exp-rkt-grpc", 4));
    let root = format!("{:016x}", trace.span("imagestore query").span_id);
    assert_eq!(field("SPAN_ID"), root);
    trace
}

/// Starts Jaeger without any option, and waits until it is healthy.
#[track_caller]
fn start_jaeger(host: &Host) {
    host.machine
        .succeed(&format!("systemd-run --unit=jaeger --collect {JAEGER}"));
    eventually("Jaeger to be healthy", || {
        let healthy = || jaeger::is_healthy(localhost(USUAL.health));
        host.machine.network(healthy).then_some(())
    });
}

#[track_caller]
fn wait_for_failed_traces(host: &Host, count: f64) {
    eventually("the trace to be given up", || {
        let failed = [("outcome", "failed")];
        let found = host.scrape().value("exp_rkt_grpc_traces_total", &failed);
        (found == Some(count)).then_some(())
    });
}

/// Jaeger starts late, stops and comes back.
#[test]
fn the_trace_of_a_query_is_in_jaeger_under_its_id_in_the_journal() {
    let Some(program) = jaeger::program() else {
        return;
    };
    let Some(host) = Host::boot("jaeger") else {
        return;
    };
    // The machine has no /etc/hosts. Go's resolver needs it for `localhost`; glibc's does not.
    host.machine.write("/etc/hosts", "127.0.0.1 localhost\n");
    host.machine.install(&program, JAEGER);
    let _store = host.store(Images::generated(3));
    host.systemctl("start exp-rkt-grpc");
    host.query();
    wait_for_failed_traces(&host, 1.0);

    start_jaeger(&host);
    let over_udp = trace_of_query(&host, 2);
    host.systemctl("stop jaeger");
    host.query();
    wait_for_failed_traces(&host, 2.0);
    start_jaeger(&host);
    trace_of_query(&host, 4);

    host.machine.write(
        "/etc/default/exp-rkt-grpc",
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317\n\
         EXP_RKT_GRPC_TRACE_URL=http://127.0.0.1:16686/trace/{trace_id}\n",
    );
    host.systemctl("restart exp-rkt-grpc");
    let over_otlp = trace_of_query(&host, 5);
    let link = format!("http://127.0.0.1:16686/trace/{}", over_otlp.id_hex());
    let page = host.get("/");
    assert!(
        page.text().contains(&format!("<a href=\"{link}\">")),
        "{page:?}"
    );

    // Jaeger's names for the scope tell the protocols apart.
    let has = |trace: &Trace, tag: &str| trace.spans.iter().all(|span| span.text(tag).is_some());
    assert!(has(&over_udp, "otel.library.name"), "{over_udp:#?}");
    assert!(has(&over_otlp, "otel.scope.name"), "{over_otlp:#?}");
}
