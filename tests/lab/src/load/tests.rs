//! Failed requests are counted, and a retried request is not a failure.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nup 1\n";

/// Sends two requests from a client that keeps its connection and one from another client. The server answers the first request
/// on each connection with these bytes and closes the connection.
fn scrape_three_times(answer: &'static [u8]) -> Tally {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client connects");
            let _ = stream.read(&mut [0; 512]).expect("the client sends");
            stream.write_all(answer).expect("the client reads");
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let (mut tally, mut kept) = (Tally::default(), Kept::new(address));
        for _ in 0..2 {
            tally.count(Exchange::of(kept.scrape()).await);
        }
        tally.count(Exchange::of(scrape_once(address)).await);
        tally.retries = kept.retries;
        tally
    })
}

#[test]
fn an_incomplete_response_is_a_failure() {
    for (answer, why) in [
        (&b""[..], "closed unanswered: end of file"),
        (&ANSWER[..1], "cut off"),
        (&ANSWER[..ANSWER.len() - 1], "cut off"),
        (
            b"HTTP/1.1 503 Not Now\r\nContent-Length: 0\r\n\r\n",
            "answered with 503",
        ),
    ] {
        let tally = scrape_three_times(answer);
        assert_eq!((tally.sent(), tally.failed()), (3, 3), "{tally:?}");
        assert_eq!(tally.failures, [(why.to_owned(), 3)].into(), "{tally:?}");
    }
}

#[test]
fn an_idle_connection_that_was_closed_is_replaced_and_nothing_is_lost() {
    let tally = scrape_three_times(ANSWER);
    assert_eq!((tally.sent(), tally.failed()), (3, 0), "{tally:?}");
    assert_eq!(tally.retries, 1);
}
