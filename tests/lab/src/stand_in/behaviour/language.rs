//! Other protocols that a server may speak on a port on which the client expects gRPC.

use tokio::io::{self, AsyncReadExt, AsyncWriteExt};

use crate::stand_in::listen::Stream;

/// A server that does not speak HTTP/2, or ends the connection soon.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Language {
    /// Waits for a request, answers it with 400 and closes the connection.
    Http1,
    /// Sends its banner without waiting for the client, then waits.
    Ssh,
    /// Sends a line of text and closes the connection at once.
    Farewell,
    /// Waits for a byte and answers with an alert, like a server that expects a ClientHello.
    Tls,
    /// HTTP/2; the second frame is GOAWAY with ENHANCE_YOUR_CALM.
    Goaway,
    /// HTTP/2; the second frame is GOAWAY with ENHANCE_YOUR_CALM and grpc-go's debug data for a client that pings too often.
    Pings,
    /// HTTP/2; the second frame is GOAWAY with NO_ERROR and grpc-go's debug data for a shutdown.
    Shutdown,
    /// HTTP/2; the second frame exceeds the maximum frame size.
    Nonsense,
}

/// An empty SETTINGS frame.
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

impl Language {
    /// The bytes that the server sends.
    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Http1 => {
                let head =
                    "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                head.into()
            }
            Self::Ssh => "SSH-2.0-OpenSSH_9.2p1\r\n".into(),
            Self::Farewell => "421 too many connections\r\n".into(),
            Self::Tls => b"\x15\x03\x01\0\x02\x02\x46".into(),
            Self::Goaway => [SETTINGS, &goaway(0x0b, b"")].concat(),
            Self::Pings => [SETTINGS, &goaway(0x0b, b"too_many_pings")].concat(),
            Self::Shutdown => [SETTINGS, &goaway(0, b"graceful_stop")].concat(),
            Self::Nonsense => [SETTINGS, &[0xff; 64]].concat(),
        }
    }

    /// Serves a connection until the client closes it, unless the server closes it first.
    pub(in crate::stand_in) async fn serve(self, stream: &mut dyn Stream) -> io::Result<()> {
        if matches!(self, Self::Http1 | Self::Tls) {
            // The first byte of a request is enough to refuse it.
            stream.read_u8().await?;
        }
        stream.write_all(&self.bytes()).await?;
        match self {
            Self::Farewell => return Ok(()),
            Self::Http1 | Self::Tls => stream.shutdown().await?,
            Self::Ssh | Self::Goaway | Self::Pings | Self::Shutdown | Self::Nonsense => {}
        }
        // Closing a socket with unread data sends a reset, and the client could lose the bytes sent so far.
        io::copy(stream, &mut io::sink()).await.map(drop)
    }
}

/// A GOAWAY frame (RFC 9113, section 6.8) of a server that has accepted no stream.
fn goaway(code: u8, debug_data: &[u8]) -> Vec<u8> {
    let length = 8 + u8::try_from(debug_data.len()).expect("debug data are short");
    let head = [0, 0, length, 7, 0, 0, 0, 0, 0];
    [&head, &[0; 4][..], &[0, 0, 0, code], debug_data].concat()
}
