//! What the other end of a connection says first: the head of a SETTINGS frame, or no HTTP/2.

/// A frame's head: its length in three bytes, type, flags, and the stream's number in four.
const FRAME_HEAD: usize = 9;

/// The type of the frame that a server begins with.
const SETTINGS: u8 = 4;

/// How much is told of what somebody else says, in bytes.
const LONGEST_WORDS: usize = 40;

/// What the other end says first.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Http2,
    /// Something that is not HTTP/2; for people.
    Else(String),
    /// It has hung up.
    Nothing,
}

/// What has arrived of that head.
#[derive(Debug, Default)]
pub(super) struct FirstWords {
    head: Vec<u8>,
}

impl FirstWords {
    /// `None` while it can still become either.
    pub(super) fn judge(&mut self, bytes: &[u8]) -> Option<Heard> {
        let missing = FRAME_HEAD - self.head.len();
        let (head, rest) = bytes.split_at(missing.min(bytes.len()));
        self.head.extend_from_slice(head);
        if !begins_settings(&self.head) {
            return Some(Heard::Else(in_words(&[&self.head, rest].concat())));
        }
        (self.head.len() == FRAME_HEAD).then_some(Heard::Http2)
    }
}

/// Whether a frame that begins like this can be SETTINGS of the connection, no longer than the 16 KiB that are allowed at first.
fn begins_settings(head: &[u8]) -> bool {
    head.iter().zip(0..).all(|(&byte, place)| match place {
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
            let mut first = FirstWords::default();
            words.chunks(length).find_map(|piece| first.judge(piece))
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
