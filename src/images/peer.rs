//! The connection to a store, and whether it is HTTP/2 that is spoken at its other end.
//!
//! A server's first frame is SETTINGS, and it comes unasked (RFC 9113, section 3.4). A connection counts as made when that
//! frame begins to arrive, as in grpc-go: what went wrong before is the address's fault, and is told the same way every time,
//! whichever of reading, writing and calling meets it first.

use std::{
    future::{Ready, ready},
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Uri;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixStream,
    sync::oneshot,
};
use tonic::transport::{Channel, Endpoint};
use tower_service::Service;

use super::error::QueryError;
use crate::config::StoreAddress;

/// A frame's head: its length in three bytes, type, flags, and the stream's number in four.
const FRAME_HEAD: usize = 9;

/// The type of the frame that a server begins with.
const SETTINGS: u8 = 4;

/// How much is told of what somebody else says, in bytes.
const LONGEST_WORDS: usize = 40;

/// Connects, and waits until the other end has begun to speak HTTP/2.
///
/// # Errors
///
/// When nobody listens, when we may not connect, and when who listens hangs up or speaks something else.
pub(super) async fn connect(
    endpoint: &Endpoint,
    address: &StoreAddress,
) -> Result<Channel, QueryError> {
    let stream = open(endpoint.uri(), address).await?;
    let (told, heard) = oneshot::channel();
    let connection = Connection {
        stream,
        first_words: Some(FirstWords {
            head: Vec::with_capacity(FRAME_HEAD),
            told,
        }),
    };
    let closed = || QueryError::Closed {
        address: address.clone(),
    };
    let channel = endpoint
        .connect_with_connector(Only(Some(TokioIo::new(connection))))
        .await
        .map_err(|_| closed())?;
    match heard.await {
        Ok(Heard::Http2) => Ok(channel),
        Ok(Heard::Else(words)) => Err(QueryError::NotGrpc {
            address: address.clone(),
            words,
        }),
        Ok(Heard::Nothing) | Err(_) => Err(closed()),
    }
}

async fn open(uri: &Uri, address: &StoreAddress) -> Result<Box<dyn Stream>, QueryError> {
    match address {
        StoreAddress::Tcp { .. } => {
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            let stream = connector.call(uri.clone()).await;
            let stream = stream.map_err(|error| QueryError::connecting(&error, address))?;
            Ok(Box::new(stream.into_inner()))
        }
        StoreAddress::Unix(path) => {
            let stream = UnixStream::connect(path).await;
            let stream = stream.map_err(|error| QueryError::connecting(&error, address))?;
            Ok(Box::new(stream))
        }
    }
}

/// Of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What the other end says first.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Http2,
    /// Something that is not HTTP/2; for people.
    Else(String),
    /// It has hung up.
    Nothing,
}

/// A connection that listens to the first words.
struct Connection {
    stream: Box<dyn Stream>,
    /// `None` once they are told.
    first_words: Option<FirstWords>,
}

struct FirstWords {
    head: Vec<u8>,
    told: oneshot::Sender<Heard>,
}

impl Connection {
    fn hear(&mut self, read: Result<&[u8], &io::Error>) {
        let Some(mut words) = self.first_words.take() else {
            return;
        };
        let heard = match read {
            Ok([]) | Err(_) => Some(Heard::Nothing),
            Ok(bytes) => words.judge(bytes),
        };
        match heard {
            // Nobody waits any more when the query has been given up.
            Some(heard) => drop(words.told.send(heard)),
            None => self.first_words = Some(words),
        }
    }

    /// While the first words are waited for, a write that fails is passed over: they may lie there unread, and say more
    /// than that the other end has hung up.
    fn written(&self, written: io::Result<usize>, length: usize) -> io::Result<usize> {
        match (&written, &self.first_words) {
            (Err(_), Some(_)) => Ok(length),
            _ => written,
        }
    }
}

impl FirstWords {
    /// `None` while it can still become either.
    fn judge(&mut self, bytes: &[u8]) -> Option<Heard> {
        let missing = FRAME_HEAD - self.head.len();
        let begun = self.head.len();
        self.head.extend(bytes.iter().take(missing));
        if !begins_settings(&self.head) {
            let rest = &bytes[bytes.len().min(self.head.len() - begun)..];
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

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if self.first_words.is_some() {
            self.hear(read.as_ref().map(|()| &buffer.filled()[before..]));
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        Poll::Ready(self.written(written, bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, slices));
        let length = slices.iter().map(|slice| slice.len()).sum();
        Poll::Ready(self.written(written, length))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Hands out its connection once. tonic would make another one where the first is lost, and a query has one.
struct Only(Option<TokioIo<Connection>>);

impl Service<Uri> for Only {
    type Response = TokioIo<Connection>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let closed = || io::Error::other("the connection was closed before the answer");
        ready(self.0.take().ok_or_else(closed))
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::{FirstWords, Heard};

    /// What is heard in these words, which must not depend on where they are cut.
    fn heard(words: &[u8]) -> Option<Heard> {
        let in_pieces_of = |length| {
            let mut first = FirstWords {
                head: Vec::new(),
                told: oneshot::channel().0,
            };
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
