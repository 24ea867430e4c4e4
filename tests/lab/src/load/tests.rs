//! That losses are noticed, and what is none.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nup 1\n";

const LOAD: Load = Load {
    rate: 500,
    requests: 20,
    kept_rate: 200,
};

/// The load on a server that does this with each connection once a request has come. It lasts until a client that keeps its
/// connection has asked more than once.
fn report(serve: impl Fn(&mut TcpStream) + Send + 'static) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let progress = Arc::new(Progress::default());
    let heard = Arc::clone(&progress);
    thread::spawn(move || {
        let mut kept = 0;
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client connects");
            let mut request = [0; 512];
            // Clients that have left are not served.
            if let Ok(length) = stream.read(&mut request) {
                kept += u32::from(!request[..length].ends_with(b"close\r\n\r\n"));
                if kept > KEPT_CONNECTIONS {
                    heard.acted();
                }
                serve(&mut stream);
            }
        }
    });
    LOAD.send(address, &progress)
}

fn answer(stream: &mut TcpStream) {
    // A client that has left is none of the server's concern.
    let _ = stream.write_all(ANSWER);
}

fn reasons(tally: &Tally) -> Vec<&str> {
    tally.failures.keys().map(String::as_str).collect()
}

#[test]
fn a_connection_that_is_closed_unanswered_is_a_loss() {
    let Report { fresh, kept } = report(|_| ());
    assert!(fresh.sent >= LOAD.requests);
    assert_eq!(fresh.failed(), fresh.sent);
    assert_eq!(reasons(&fresh), ["closed unanswered: end of file"]);
    assert_eq!(kept.failed(), kept.sent);
}

#[test]
fn an_answer_that_is_cut_off_is_a_loss() {
    let Report { fresh, .. } = report(|stream| {
        let _ = stream.write_all(&ANSWER[..ANSWER.len() - 1]);
    });
    assert_eq!(reasons(&fresh), ["cut off"]);
    assert_eq!(fresh.failed(), fresh.sent);
}

#[test]
fn another_status_than_200_is_a_loss() {
    let Report { fresh, .. } = report(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 503 Not Now\r\nContent-Length: 0\r\n\r\n");
    });
    assert_eq!(reasons(&fresh), ["answered with http/1.1 503 not now"]);
}

#[test]
fn an_idle_connection_that_was_closed_is_replaced_and_none_is_lost() {
    let Report { fresh, kept } = report(answer);
    assert_eq!((fresh.failed(), kept.failed()), (0, 0), "{kept:?}");
    assert!(kept.asked_again > 0);
}

#[test]
fn an_answer_in_chunks_is_whole_with_its_last_chunk() {
    const CHUNKED: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nup 1\n\r\n0\r\n\r\n";
    let send = |answer: &'static [u8]| {
        report(move |stream| {
            let _ = stream.write_all(answer);
        })
    };
    assert_eq!(send(CHUNKED).fresh.failed(), 0);
    let Report { fresh, .. } = send(&CHUNKED[..CHUNKED.len() - 5]);
    assert_eq!(fresh.failed(), fresh.sent);
    assert_eq!(reasons(&fresh), ["cut off"]);
}
