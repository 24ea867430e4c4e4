//! What is spoken on a connection that somebody took for gRPC's.

use tokio::io::{self, AsyncReadExt, AsyncWriteExt};

use crate::stand_in::listen::Stream;

/// Not HTTP/2, or not for long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Language {
    /// Waits for a request, calls it a bad one and hangs up.
    Http1,
    /// Introduces itself before it is asked, and waits.
    Ssh,
    /// Introduces itself and hangs up at once, whatever it is sent.
    Farewell,
    /// Waits, and answers with an alert, as who expects a ClientHello does.
    Tls,
    /// HTTP/2, whose second frame is GOAWAY with ENHANCE_YOUR_CALM.
    Goaway,
    /// HTTP/2, whose second frame is GOAWAY with ENHANCE_YOUR_CALM and what grpc-go says to who pings too often.
    Pings,
    /// HTTP/2, whose second frame is GOAWAY with NO_ERROR and what grpc-go says when it stops.
    Shutdown,
    /// HTTP/2, whose second frame is longer than frames may be.
    Nonsense,
}

/// An empty SETTINGS frame.
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

impl Language {
    /// The first words of whoever speaks it.
    fn words(self) -> Vec<u8> {
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

    /// Until the client hangs up, unless this language's servers do.
    pub(in crate::stand_in) async fn converse(self, stream: &mut dyn Stream) -> io::Result<()> {
        if matches!(self, Self::Http1 | Self::Tls) {
            // The beginning of a request is as bad as the whole.
            stream.read_u8().await?;
        }
        stream.write_all(&self.words()).await?;
        match self {
            Self::Farewell => return Ok(()),
            Self::Http1 | Self::Tls => stream.shutdown().await?,
            Self::Ssh | Self::Goaway | Self::Pings | Self::Shutdown | Self::Nonsense => {}
        }
        // Hanging up on what is unread would take back what has been said.
        io::copy(stream, &mut io::sink()).await.map(drop)
    }
}

/// A GOAWAY frame (RFC 9113, section 6.8) of a server that has accepted no stream.
fn goaway(code: u8, debug_data: &[u8]) -> Vec<u8> {
    let length = 8 + u8::try_from(debug_data.len()).expect("debug data are short");
    let head = [0, 0, length, 7, 0, 0, 0, 0, 0];
    [&head, &[0; 4][..], &[0, 0, 0, code], debug_data].concat()
}
