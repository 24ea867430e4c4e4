//! What is spoken on a connection that somebody took for gRPC's.

use tokio::io::{self, AsyncReadExt, AsyncWriteExt};

use crate::stand_in::listen::Stream;

/// Not HTTP/2.
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
}

impl Language {
    pub(super) const ALL: [(&'static str, Self); 4] = [
        ("http1", Self::Http1),
        ("ssh", Self::Ssh),
        ("farewell", Self::Farewell),
        ("tls", Self::Tls),
    ];

    /// The first words of whoever speaks it.
    fn words(self) -> &'static [u8] {
        match self {
            Self::Http1 => {
                b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            }
            Self::Ssh => b"SSH-2.0-OpenSSH_9.2p1\r\n",
            Self::Farewell => b"421 too many connections\r\n",
            Self::Tls => b"\x15\x03\x01\x00\x02\x02\x46",
        }
    }

    /// Until the client hangs up, unless this language's servers do.
    pub(in crate::stand_in) async fn converse(self, stream: &mut dyn Stream) -> io::Result<()> {
        if matches!(self, Self::Http1 | Self::Tls) {
            stream.read(&mut [0; 4096]).await?;
        }
        stream.write_all(self.words()).await?;
        match self {
            Self::Farewell => return Ok(()),
            Self::Http1 | Self::Tls => stream.shutdown().await?,
            Self::Ssh => {}
        }
        // Hanging up on what is unread would take back what has been said.
        io::copy(stream, &mut io::sink()).await.map(drop)
    }
}
