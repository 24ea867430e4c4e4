use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::thread;

use super::*;

/// A server that answers the first request on its first connection with these bytes and hangs up.
fn answering(bytes: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the test connects");
        answer(stream, bytes);
    });
    address
}

fn answer(mut stream: impl Read + Write, bytes: &str) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a request comes");
        request.extend(byte);
    }
    stream
        .write_all(bytes.as_bytes())
        .expect("the test reads the response");
}

#[test]
fn a_body_ends_after_its_content_length() {
    let server = answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more");
    let response = get(server, "/").expect("it answers");
    assert_eq!((response.status, response.text()), (200, "hello"));
    assert_eq!(response.header("content-length"), Some("5"));
}

#[test]
fn chunks_are_joined() {
    let server = answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    );
    assert_eq!(get(server, "/").expect("it answers").text(), "hello");
}

#[test]
fn a_body_without_a_length_ends_with_the_connection() {
    let server = answering("HTTP/1.0 404 Not Found\r\n\r\nhello");
    let response = get(server, "/").expect("it answers");
    assert_eq!((response.status, response.text()), (404, "hello"));
}

#[test]
fn a_response_that_is_cut_off_is_an_error() {
    for cut in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
    ] {
        let error = get(answering(cut), "/").expect_err(cut);
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{cut:?}");
    }
}

#[test]
fn a_response_to_head_has_no_body_whatever_its_length_says() {
    let server = answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    let mut connection = Connection::open(server).expect("it listens");
    let response = connection
        .request("HEAD", "/", &[])
        .expect("a head is enough");
    assert_eq!(response.header("Content-Length"), Some("5"));
    assert!(response.body.is_empty());
}

#[test]
fn unix_sockets_are_spoken_to_alike() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("server");
    let listener = UnixListener::bind(&path).expect("the folder is fresh");
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the test connects");
        answer(stream, "HTTP/1.1 204 No Content\r\n\r\n");
    });
    let response = get(path.as_path(), "/").expect("it answers");
    assert_eq!(response.status, 204);
    server.join().expect("the server is content");
}
