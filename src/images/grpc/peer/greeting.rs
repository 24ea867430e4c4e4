//! What the peer sends first: the head of a SETTINGS frame, or something that is not HTTP/2.

use tokio::sync::oneshot;

use super::frames::HEAD;

/// Type of a server's first frame.
const SETTINGS: u8 = 4;

/// Bytes of another beginning that an error quotes.
const MAX_QUOTED: usize = 40;

/// What the peer sends first.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    Http2,
    /// Something else, quoted or named for an error.
    Other(String),
}

/// Reads until it is clear whether the peer speaks HTTP/2.
#[derive(Debug)]
pub(super) struct GreetingReader {
    beginning: Vec<u8>,
    /// `None` once that is clear, or the connection has ended.
    report: Option<oneshot::Sender<Greeting>>,
}

impl GreetingReader {
    /// A reader, and the receiver of its result, which gets an error if the connection ends before it is clear.
    pub(super) fn new() -> (Self, oneshot::Receiver<Greeting>) {
        let (report, greeting) = oneshot::channel();
        let reader = Self {
            beginning: Vec::new(),
            report: Some(report),
        };
        (reader, greeting)
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.report.is_some()
    }

    /// Takes the next bytes, split anywhere. No bytes mean the end of the connection.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let Some(report) = self.report.take() else {
            return;
        };
        self.beginning.extend(bytes.iter().take(MAX_QUOTED));
        if !begins_settings(&self.beginning) {
            // The receiver is gone if the query was abandoned.
            drop(report.send(Greeting::Other(quoted(&self.beginning))));
        } else if self.beginning.len() >= HEAD {
            drop(report.send(Greeting::Http2));
        } else if !bytes.is_empty() {
            self.report = Some(report);
        }
    }
}

/// Whether a frame that begins like this can be SETTINGS of the connection, no longer than the 16 KiB that are allowed at first.
fn begins_settings(bytes: &[u8]) -> bool {
    bytes.iter().zip(0..).all(|(&byte, place)| match place {
        0 => byte == 0,
        1 => byte <= 0x40,
        3 => byte == SETTINGS,
        5..=8 => byte == 0,
        _ => true,
    })
}

fn quoted(bytes: &[u8]) -> String {
    match bytes {
        // An alert, or a handshake.
        [0x15 | 0x16, 3, ..] => "TLS, which is not supported".to_owned(),
        _ => {
            let beginning = &bytes[..bytes.len().min(MAX_QUOTED)];
            format!("\"{}\"", beginning.escape_ascii())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Greeting, GreetingReader};

    /// The greeting in these bytes, which must not depend on where they are split.
    fn read(bytes: &[u8]) -> Option<Greeting> {
        let in_pieces_of = |length| {
            let (mut reader, mut greeting) = GreetingReader::new();
            bytes.chunks(length).for_each(|piece| reader.feed(piece));
            greeting.try_recv().ok()
        };
        let (whole, in_bytes) = (in_pieces_of(bytes.len()), in_pieces_of(1));
        assert_eq!(
            matches!(whole, Some(Greeting::Other(_))),
            matches!(in_bytes, Some(Greeting::Other(_)))
        );
        whole
    }

    #[test]
    fn settings_are_http_2_whatever_they_hold() {
        assert_eq!(read(b"\0\0\0\x04\0\0\0\0\0"), Some(Greeting::Http2));
        assert_eq!(read(b"\0\x40\0\x04\0\0\0\0\0more"), Some(Greeting::Http2));
    }

    #[test]
    fn the_beginning_of_settings_is_waited_for() {
        for length in 1..9 {
            assert_eq!(read(&b"\0\0\0\x04\0\0\0\0\0"[..length]), None);
        }
    }

    #[test]
    fn every_other_beginning_is_known_at_its_first_wrong_byte() {
        for bytes in [
            &b"\0\x41"[..],
            b"\0\0\0\x07",
            b"\0\0\0\x04\0\0\0\0\x01",
            b"H",
            b"+OK",
            b"SSH-2.0-x",
        ] {
            let right = format!("\"{}\"", bytes.escape_ascii());
            assert_eq!(read(bytes), Some(Greeting::Other(right)));
        }
        let tls = "TLS, which is not supported".to_owned();
        assert_eq!(
            read(b"\x15\x03\x01\0\x02\x02\x46"),
            Some(Greeting::Other(tls))
        );
    }

    #[test]
    fn only_the_beginning_of_long_bytes_is_quoted() {
        let Some(Greeting::Other(quoted)) = read(&[b'x'; 10_000]) else {
            panic!("it is not HTTP/2");
        };
        assert_eq!(quoted.len(), 42);
    }
}
