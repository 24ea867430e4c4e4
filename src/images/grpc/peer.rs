//! The connection to a store, and whether it is HTTP/2 that is spoken at its other end.
//!
//! A server's first frame is SETTINGS, and it comes unasked (RFC 9113, section 3.4). A connection counts as made when that
//! frame begins to arrive, as in grpc-go: what went wrong before is the address's fault, and is told the same way every time,
//! whichever of reading, writing and calling meets it first.

use std::{
    future::{Ready, poll_fn, ready},
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response, Uri};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, BufReader, ReadBuf},
    net::UnixStream,
    sync::oneshot,
};
use tonic::{
    body::Body,
    transport::{self, Endpoint},
};
use tower_service::Service;

use super::{
    connect_error::{ConnectError, Phase},
    limit::Limit,
    target::Target,
};
use crate::{answer::QueryError, images::address::StoreAddress, work::Tasks};

mod first_words;
mod frames;
mod lookup;

use first_words::{FirstWords, Heard};
use frames::Frames;
pub(super) use frames::Seen;
use lookup::known;

/// Most bytes of an answer's headers, or of its trailers, that are read: room for the longest texts of errors, and little
/// enough to be held.
pub(super) const MAX_HEADERS: u32 = 1024 * 1024;

/// Most bytes of an answer that a store may send ahead of our reading, which are held in memory. HTTP/2's flow control; hyper's
/// own default is 2 MiB, and no faster.
pub(super) const WINDOW: u32 = 512 * 1024;

/// A connection to a store, for any number of calls. Copies share it.
#[derive(Clone, Debug)]
pub(in crate::images) struct Channel {
    channel: transport::Channel,
    seen: Seen,
}

impl Channel {
    /// Sends a request, and waits for the headers of the response.
    ///
    /// # Errors
    ///
    /// When the connection is lost before they are there.
    pub(super) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Body>, transport::Error> {
        poll_fn(|context| self.channel.poll_ready(context)).await?;
        self.channel.call(request).await
    }

    /// What the store has sent so far, on the level of HTTP/2.
    pub(super) fn seen(&self) -> Seen {
        self.seen.clone()
    }
}

/// Bytes that one call of recv(2) takes at most. HTTP/2's own reader asks for 8 KiB, which is twice for each frame.
const READ_AT_ONCE: usize = 64 * 1024;

/// Connects, and waits until the other end has begun to speak HTTP/2. The connection lives in `tasks`.
///
/// # Errors
///
/// When nobody listens, when we may not or cannot connect, when who listens hangs up or speaks something else, and when `limit`
/// ends it, saying what was waited for.
pub(super) async fn connect(
    target: &Target,
    limit: &Limit,
    tasks: &Tasks,
) -> Result<Channel, QueryError> {
    let stream = open(target, limit).await?;
    let address = &target.address;
    let greeting = Phase::Greeting(address.clone());
    let endpoint = target.endpoint.clone().executor(tasks.executor());
    limit
        .hold_while(greeting, greeted(&endpoint, address, stream))
        .await
}

pub(super) async fn greeted(
    endpoint: &Endpoint,
    address: &StoreAddress,
    stream: Box<dyn Stream>,
) -> Result<Channel, ConnectError> {
    let (told, heard) = oneshot::channel();
    let frames = Frames::default();
    let seen = frames.seen();
    let connection = Connection {
        stream: BufReader::with_capacity(READ_AT_ONCE, stream),
        hearing: Some(Hearing {
            words: FirstWords::default(),
            told,
        }),
        frames,
    };
    let closed = || ConnectError::Closed {
        address: address.clone(),
    };
    let channel = endpoint
        .connect_with_connector(Only(Some(TokioIo::new(connection))))
        .await
        .map_err(|_| closed())?;
    match heard.await {
        Ok(Heard::Http2) => Ok(Channel { channel, seen }),
        Ok(Heard::Else(words)) => Err(ConnectError::NotGrpc {
            address: address.clone(),
            words,
        }),
        Ok(Heard::Nothing) | Err(_) => Err(closed()),
    }
}

async fn open(target: &Target, limit: &Limit) -> Result<Box<dyn Stream>, QueryError> {
    let connecting = Phase::Connection(target.address.clone());
    match &target.address {
        StoreAddress::Tcp { host, .. } => {
            let lookup = Phase::Lookup(host.clone());
            let known = limit.hold_while(lookup, known(host, target)).await?;
            let mut connector = HttpConnector::new_with_resolver(known);
            connector.set_nodelay(true);
            let stream = async {
                let stream = connector.call(target.endpoint.uri().clone()).await;
                stream.map_err(|error| target.unreached(&error))
            };
            let stream = limit.hold_while(connecting, stream).await?;
            Ok(Box::new(stream.into_inner()))
        }
        StoreAddress::Unix(path) => {
            let stream = async {
                let stream = UnixStream::connect(path).await;
                stream.map_err(|error| target.unreached(&error))
            };
            Ok(Box::new(limit.hold_while(connecting, stream).await?))
        }
    }
}

/// Of either kind.
pub(in crate::images) trait Stream:
    AsyncRead + AsyncWrite + Send + Unpin
{
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection that listens to the first words, and follows the frames behind them.
struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    /// `None` once they are told.
    hearing: Option<Hearing>,
    frames: Frames,
}

struct Hearing {
    words: FirstWords,
    told: oneshot::Sender<Heard>,
}

impl Connection {
    fn hear(&mut self, read: Result<&[u8], &io::Error>) {
        let Some(mut hearing) = self.hearing.take() else {
            return;
        };
        let heard = match read {
            Ok([]) | Err(_) => Some(Heard::Nothing),
            Ok(bytes) => hearing.words.judge(bytes),
        };
        match heard {
            // Nobody waits any more when the query has been given up.
            Some(heard) => drop(hearing.told.send(heard)),
            None => self.hearing = Some(hearing),
        }
    }

    /// While the first words are waited for, a write that fails is passed over: they may lie there unread, and say more
    /// than that the other end has hung up.
    fn written(&self, written: io::Result<usize>, length: usize) -> io::Result<usize> {
        match (&written, &self.hearing) {
            (Err(_), Some(_)) => Ok(length),
            _ => written,
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
        self.frames.follow(&buffer.filled()[before..]);
        if self.hearing.is_some() {
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
