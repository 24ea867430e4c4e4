//! `--max-response`: a limit for those who want one.

use lab::{
    rkt_api_service::{Behaviour, Images, StandIn},
    service::{Service, run},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_exp-rkt-grpc");

/// gRPC's framing in front of a message.
const PREFIX: u64 = 5;

fn service(store: &StandIn, max_response: &str) -> Service {
    Service::builder(PROGRAM)
        .store(store.url())
        .arg("--max-response")
        .arg(max_response)
        .start()
}

#[test]
fn a_flood_ends_at_the_limit() {
    let store = StandIn::tcp(Images::generated(10));
    store.behave(Behaviour::Flood);
    let service = service(&store, "4MiB");

    let status = service.query();
    assert!(
        status.contains("RESOURCE_EXHAUSTED: the answer is longer than the 4194304 bytes that --max-response permits"),
        "{status}"
    );
    let scrape = service.scrape();
    let failures = [("store", "rkt"), ("code", "RESOURCE_EXHAUSTED")];
    assert_eq!(
        scrape.value("imagestore_query_failures_total", &failures),
        Some(1.0)
    );
    assert_eq!(
        scrape.value("imagestore_up", &[("store", "rkt")]),
        Some(0.0)
    );
}

#[test]
fn an_answer_as_long_as_the_limit_is_read_and_a_byte_more_is_not() {
    let images = Images::generated(1_000);
    let length = images.totals().encoded_bytes + PREFIX;
    let store = StandIn::tcp(images);

    let status = service(&store, &length.to_string()).query();
    assert!(status.contains("1000 images"), "{status}");
    let status = service(&store, &(length - 1).to_string()).query();
    assert!(status.contains("RESOURCE_EXHAUSTED"), "{status}");
}

#[test]
fn a_limit_that_is_none_is_refused_with_what_would_be_right() {
    let output = run(PROGRAM, [""; 0], &[("EXP_RKT_GRPC_MAX_RESPONSE", "64MB")]);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{complaint}");
    for part in [
        "--max-response (EXP_RKT_GRPC_MAX_RESPONSE)",
        "\"64MB\"",
        "64MiB",
    ] {
        assert!(complaint.contains(part), "{part:?} in {complaint}");
    }
}
