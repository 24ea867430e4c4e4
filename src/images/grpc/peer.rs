//! The connection to a store, and the check that HTTP/2 is spoken at its other end.
//!
//! A server's first frame is SETTINGS, and it comes unasked (RFC 9113, section 3.4). A connection counts as made when that
//! frame begins to arrive, as in grpc-go. A failure before that is the address's fault, and is reported the same way whether
//! reading or writing meets it first.

use std::{
    convert::Infallible,
    future::ready,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::TryFutureExt;
use http::{Request, Response, Uri};
use hyper_util::{
    client::legacy::connect::{HttpConnector, dns::Name},
    rt::TokioIo,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, BufStream, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_util::either::Either;
use tonic::{
    body::Body,
    transport::{self, Endpoint},
};
use tower::{Service, ServiceExt, service_fn};

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
        self.channel.ready().await?.call(request).await
    }

    /// What the store has sent so far, on the level of HTTP/2.
    pub(super) fn seen(&self) -> Seen {
        self.seen.clone()
    }
}

/// Bytes that one call of recv(2) takes at most. HTTP/2's own reader asks for 8 KiB, which is twice for each frame.
const READ_AT_ONCE: usize = 64 * 1024;

/// Buffer for writes: room for HTTP/2's preface and first frames, and for most requests.
const WRITE_AT_ONCE: usize = 1024;

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
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<Channel, ConnectError> {
    let (first_words, heard) = FirstWords::awaited();
    let frames = Frames::default();
    let seen = frames.seen();
    let connection = Connection {
        stream: BufStream::with_capacity(READ_AT_ONCE, WRITE_AT_ONCE, stream),
        first_words,
        frames,
    };
    // tonic would replace a lost connection, but a query has only one.
    let mut connection = Some(TokioIo::new(connection));
    let only = service_fn(move |_: Uri| {
        let closed = || io::Error::other("the connection was closed before the answer");
        ready(connection.take().ok_or_else(closed))
    });
    let channel = endpoint.connect_with_connector(only).await;
    let address = address.clone();
    match (heard.await, channel) {
        (Ok(Heard::Http2), Ok(channel)) => Ok(Channel { channel, seen }),
        (Ok(Heard::Else(words)), _) => Err(ConnectError::NotGrpc { address, words }),
        _ => Err(ConnectError::Closed { address }),
    }
}

async fn open(target: &Target, limit: &Limit) -> Result<Either<TcpStream, UnixStream>, QueryError> {
    let connecting = Phase::Connection(target.address.clone());
    match &target.address {
        StoreAddress::Tcp { host, .. } => {
            let lookup = Phase::Lookup(host.clone());
            let addresses = lookup::addresses(host, target);
            let addresses = limit.hold_while(lookup, addresses).await?;
            let resolver = service_fn(move |_: Name| {
                ready(Ok::<_, Infallible>(addresses.clone().into_iter()))
            });
            let mut connector = HttpConnector::new_with_resolver(resolver);
            connector.set_nodelay(true);
            let stream = connector.call(target.endpoint.uri().clone());
            let stream = stream.map_err(|error| target.unreached(&error));
            let stream = limit.hold_while(connecting, stream).await?;
            Ok(Either::Left(stream.into_inner()))
        }
        StoreAddress::Unix(path) => {
            let stream = UnixStream::connect(path);
            let stream = stream.map_err(|error| target.unreached(&error));
            limit
                .hold_while(connecting, stream)
                .await
                .map(Either::Right)
        }
    }
}

/// A connection that listens for the first words, and follows the frames that come with and after them.
struct Connection<S> {
    /// The preface stays in the buffer until HTTP/2's first flush, so that the handshake itself does not fail.
    stream: BufStream<S>,
    first_words: FirstWords,
    frames: Frames,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Reads until the first words are complete, or the connection has ended.
    fn poll_first_words(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.first_words.are_awaited() {
            let mut bytes = [0; 1024];
            let mut buffer = ReadBuf::new(&mut bytes);
            // An error is heard as the end of the connection.
            let _heard = ready!(Pin::new(&mut *self).poll_read(context, &mut buffer));
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        let bytes = &buffer.filled()[before..];
        self.frames.follow(bytes);
        self.first_words.hear(bytes);
        Poll::Ready(read)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    /// A flush fails when the other end has hung up, and its last words may not have been read by then. h2 stops reading when
    /// it gets that error, so the first words are read before the error is returned.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(context));
        if flushed.is_err() {
            ready!(self.poll_first_words(context));
        }
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
