//! What the other end of a connection says first: the head of a SETTINGS frame, or no HTTP/2.

use tokio::sync::oneshot;

use super::frames::HEAD;

/// The type of the frame that a server begins with.
const SETTINGS: u8 = 4;

/// Longest beginning that an error quotes, in bytes.
const LONGEST_WORDS: usize = 40;

/// What the other end says first.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Http2,
    /// Something that is not HTTP/2, as an error quotes or names it.
    Else(String),
}

/// Listens until it is clear whether the other end speaks HTTP/2.
#[derive(Debug)]
pub(super) struct FirstWords {
    beginning: Vec<u8>,
    /// `None` once that is clear, or the connection has ended.
    tell: Option<oneshot::Sender<Heard>>,
}

impl FirstWords {
    /// The receiver gets an error if the connection ends before it is clear.
    pub(super) fn awaited() -> (Self, oneshot::Receiver<Heard>) {
        let (tell, heard) = oneshot::channel();
        let first_words = Self {
            beginning: Vec::new(),
            tell: Some(tell),
        };
        (first_words, heard)
    }

    pub(super) fn are_awaited(&self) -> bool {
        self.tell.is_some()
    }

    /// Takes the next bytes, cut anywhere. No bytes mean the end of the connection.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        let Some(tell) = self.tell.take() else {
            return;
        };
        self.beginning.extend(bytes.iter().take(LONGEST_WORDS));
        if !begins_settings(&self.beginning) {
            // The receiver is gone if the query has been given up.
            drop(tell.send(Heard::Else(in_words(&self.beginning))));
        } else if self.beginning.len() >= HEAD {
            drop(tell.send(Heard::Http2));
        } else if !bytes.is_empty() {
            self.tell = Some(tell);
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

fn in_words(bytes: &[u8]) -> String {
    match bytes {
        // An alert, or a handshake.
        [0x15 | 0x16, 3, ..] => "TLS, which is not offered".to_owned(),
        _ => {
            let beginning = &bytes[..bytes.len().min(LONGEST_WORDS)];
            format!("\"{}\"", beginning.escape_ascii())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FirstWords, Heard};

    /// What is heard in these words, which must not depend on where they are cut.
    fn heard(words: &[u8]) -> Option<Heard> {
        let in_pieces_of = |length| {
            let (mut first, mut heard) = FirstWords::awaited();
            words.chunks(length).for_each(|piece| first.hear(piece));
            heard.try_recv().ok()
        };
        let (whole, in_bytes) = (in_pieces_of(words.len()), in_pieces_of(1));
        assert_eq!(
            matches!(whole, Some(Heard::Else(_))),
            matches!(in_bytes, Some(Heard::Else(_)))
        );
        whole
    }

    #[test]
    fn settings_are_http_2_whatever_they_hold() {
        assert_eq!(heard(b"\0\0\0\x04\0\0\0\0\0"), Some(Heard::Http2));
        assert_eq!(heard(b"\0\x40\0\x04\0\0\0\0\0more"), Some(Heard::Http2));
    }

    #[test]
    fn the_beginning_of_settings_is_waited_for() {
        for length in 1..9 {
            assert_eq!(heard(&b"\0\0\0\x04\0\0\0\0\0"[..length]), None);
        }
    }

    #[test]
    fn every_other_beginning_is_known_at_its_first_wrong_byte() {
        for words in [
            &b"\0\x41"[..],
            b"\0\0\0\x07",
            b"\0\0\0\x04\0\0\0\0\x01",
            b"H",
            b"+OK",
            b"SSH-2.0-x",
        ] {
            let right = format!("\"{}\"", words.escape_ascii());
            assert_eq!(heard(words), Some(Heard::Else(right)));
        }
        let tls = "TLS, which is not offered".to_owned();
        assert_eq!(heard(b"\x15\x03\x01\0\x02\x02\x46"), Some(Heard::Else(tls)));
    }

    #[test]
    fn of_long_words_the_beginning_is_told() {
        let Some(Heard::Else(told)) = heard(&[b'x'; 10_000]) else {
            panic!("it is not HTTP/2");
        };
        assert_eq!(told.len(), 42);
    }
}
