//! Only complete responses are parsed.

use super::*;

#[test]
fn a_response_is_complete_with_its_last_byte_and_not_before() {
    for whole in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    ] {
        for cut in 0..whole.len() {
            let parsed = Response::parse(&whole.as_bytes()[..cut]);
            assert!(parsed.expect("the bytes are HTTP").is_none(), "{cut}");
        }
        let more = format!("{whole}HTTP/1.1 404 Not Found");
        let parsed = Response::parse(more.as_bytes()).expect("the bytes are HTTP");
        let (response, length) = parsed.expect("the response is complete");
        assert_eq!((response.status, response.text()), (200, "hello"));
        assert_eq!(length, whole.len());
    }
}

#[test]
fn text_that_is_not_http_is_an_error() {
    for text in ["hello\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
        assert!(Response::parse(text.as_bytes()).is_err(), "{text}");
    }
}
