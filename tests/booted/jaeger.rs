//! A real Jaeger without any setting receives the traces of the installed service.

use std::net::Ipv4Addr;

use lab::jaeger::{self, Api, QUERY_PORT};
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
    let api = Api::at(localhost(QUERY_PORT));
    let trace = host
        .machine
        .network(|| api.trace(field("TRACE_ID"), "exp-rkt-grpc", 4));
    let root = format!("{:016x}", trace.span("imagestore query").span_id);
    assert_eq!(field("SPAN_ID"), root);
    trace
}

#[test]
fn the_trace_of_a_query_is_in_jaeger_under_its_id_in_the_journal() {
    let Some(program) = jaeger::program() else {
        return;
    };
    let Some(host) = Host::boot("jaeger") else {
        return;
    };
    // The machine has no such file. Go's resolver, unlike glibc, needs it.
    host.machine.write("/etc/hosts", "127.0.0.1 localhost\n");
    host.machine.install(&program, JAEGER);
    host.machine
        .succeed(&format!("systemd-run --unit=jaeger {JAEGER}"));
    eventually("Jaeger to be healthy", || {
        let healthy = || jaeger::is_healthy(Ipv4Addr::LOCALHOST);
        host.machine.network(healthy).then_some(())
    });
    let _store = host.store(Images::generated(3));
    host.systemctl("start exp-rkt-grpc");
    let over_udp = trace_of_query(&host, 1);

    host.machine.write(
        "/etc/default/exp-rkt-grpc",
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317\n",
    );
    host.systemctl("restart exp-rkt-grpc");
    let over_otlp = trace_of_query(&host, 2);

    // Jaeger's names for the scope tell the protocols apart.
    let has = |trace: &Trace, tag: &str| trace.spans.iter().all(|span| span.text(tag).is_some());
    assert!(has(&over_udp, "otel.library.name"), "{over_udp:#?}");
    assert!(has(&over_otlp, "otel.scope.name"), "{over_otlp:#?}");
}
