//! Queries do not cause lost scrapes.

use lab::poll::eventually;
use lab::rkt_api_service::Images;

use super::{SOME, assert_none_is_lost, spread, under_load};
use crate::host::Host;

const TRIGGERS: usize = 50;

/// The number of queries that have ended, and of log lines with the result of a query.
fn queries_and_lines(host: &Host) -> (f64, f64) {
    let answered = [
        "--unit=exp-rkt-grpc",
        "MESSAGE_ID=639706cf8d6a4a389604c9f92f4f82c9",
    ];
    let queries = host.of_rkt("imagestore_queries_total");
    let lines = host.machine.journal(answered);
    (queries.expect("the service runs"), lines.len() as f64)
}

#[test]
fn fifty_triggers_lose_no_scrape_and_each_query_logs_one_line() {
    let Some(host) = Host::boot("triggers") else {
        return;
    };
    let store = host.store(Images::generated(0));
    let mut sent = 0;
    let report = under_load(&host, "50 × kill -s SIGQUIT", SOME, |progress| {
        spread(progress, SOME, TRIGGERS, || {
            sent += 1;
            store.serve_images(Images::generated(sent));
            host.systemctl("kill --signal=SIGQUIT exp-rkt-grpc");
        });
    });
    assert_none_is_lost(&host, &report);
    eventually("the last number", || {
        (host.of_rkt("imagestore_images") == Some(TRIGGERS as f64)).then_some(())
    });
    // The query that has counted the last number may have begun before the last trigger. Then one more query follows.
    let queries = eventually("as many lines as queries", || {
        let (queries, lines) = queries_and_lines(&host);
        (queries == lines).then_some(queries)
    });
    assert!((1.0..=TRIGGERS as f64).contains(&queries), "{queries}");
    assert_eq!(host.of_rkt("imagestore_images"), Some(TRIGGERS as f64));
    assert_eq!(host.property("NRestarts"), "0");
}
