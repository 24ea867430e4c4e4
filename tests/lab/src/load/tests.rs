//! That losses are noticed, and what is none.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nup 1\n";

/// Two requests of a client that keeps its connection, and one of another, to a server that answers the first request on each
/// connection with these bytes and hangs up.
fn ask_three_times(answer: &'static [u8]) -> Tally {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client connects");
            let _ = stream.read(&mut [0; 512]).expect("it asks");
            stream.write_all(answer).expect("it reads");
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let (mut tally, mut kept) = (Tally::default(), Kept::new(address));
        for _ in 0..2 {
            tally.count(Asked::by(kept.ask()).await);
        }
        tally.count(Asked::by(ask_anew(address)).await);
        tally.asked_again = kept.asked_again;
        tally
    })
}

#[test]
fn whatever_is_no_whole_answer_is_a_loss() {
    for (answer, why) in [
        (&b""[..], "closed unanswered: end of file"),
        (&ANSWER[..1], "cut off"),
        (&ANSWER[..ANSWER.len() - 1], "cut off"),
        (
            b"HTTP/1.1 503 Not Now\r\nContent-Length: 0\r\n\r\n",
            "answered with 503",
        ),
    ] {
        let tally = ask_three_times(answer);
        assert_eq!((tally.sent(), tally.failed()), (3, 3), "{tally:?}");
        assert_eq!(tally.failures, [(why.to_owned(), 3)].into(), "{tally:?}");
    }
}

#[test]
fn an_idle_connection_that_was_closed_is_replaced_and_nothing_is_lost() {
    let tally = ask_three_times(ANSWER);
    assert_eq!((tally.sent(), tally.failed()), (3, 0), "{tally:?}");
    assert_eq!(tally.asked_again, 1);
}
