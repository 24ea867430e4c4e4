//! The connection to a store, and the check that the peer speaks HTTP/2.
//!
//! A server's first frame is SETTINGS, which it sends unasked (RFC 9113, section 3.4). As in grpc-go, a connection counts as
//! established when that frame begins to arrive. A failure before that is a failure to connect, and is reported the same way
//! whether reading or writing meets it first.

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

mod frames;
mod greeting;
mod lookup;

use frames::Frames;
pub(super) use frames::Observed;
use greeting::{Greeting, GreetingReader};

/// Longest headers or trailers of an answer, in bytes: room for the longest error messages, and small enough to buffer.
pub(super) const MAX_HEADERS: u32 = 1024 * 1024;

/// Bytes of an answer that a store may send before they are read (HTTP/2's flow control). They are held in memory; hyper's default
/// is 2 MiB, and no faster.
pub(super) const WINDOW: u32 = 512 * 1024;

/// A connection to a store, for any number of calls. Clones share it.
#[derive(Clone, Debug)]
pub(in crate::images) struct Channel {
    channel: transport::Channel,
    observed: Observed,
}

impl Channel {
    /// Sends a request, and waits for the headers of the response.
    ///
    /// # Errors
    ///
    /// When the connection is lost before they arrive.
    pub(super) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Body>, transport::Error> {
        self.channel.ready().await?.call(request).await
    }

    /// Facts about the HTTP/2 frames that the store has sent so far.
    pub(super) fn observed(&self) -> Observed {
        self.observed.clone()
    }
}

/// Size of the read buffer, in bytes. h2's own reader asks for 8 KiB, which takes two calls of recv(2) for each frame.
const READ_AT_ONCE: usize = 64 * 1024;

/// Size of the write buffer, in bytes: room for HTTP/2's preface and first frames, and for most requests.
const WRITE_AT_ONCE: usize = 1024;

/// Connects, and waits until the peer's first HTTP/2 frame begins. The connection runs in `tasks`.
///
/// # Errors
///
/// When connecting fails, when the peer closes the connection or speaks another protocol, and at `limit`, with the phase.
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
    let (reader, greeting) = GreetingReader::new();
    let frames = Frames::default();
    let observed = frames.observed();
    let stream = InspectedStream {
        stream: BufStream::with_capacity(READ_AT_ONCE, WRITE_AT_ONCE, stream),
        greeting: reader,
        frames,
    };
    // tonic would reconnect, but a query has only one connection.
    let mut stream = Some(TokioIo::new(stream));
    let only = service_fn(move |_: Uri| {
        let closed = || io::Error::other("the connection was closed before the answer");
        ready(stream.take().ok_or_else(closed))
    });
    let channel = endpoint.connect_with_connector(only).await;
    let address = address.clone();
    match (greeting.await, channel) {
        (Ok(Greeting::Http2), Ok(channel)) => Ok(Channel { channel, observed }),
        (Ok(Greeting::Other(beginning)), _) => Err(ConnectError::NotGrpc { address, beginning }),
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

/// A stream whose bytes also go to the greeting's reader, and whose frames are observed.
struct InspectedStream<S> {
    /// The preface stays in the buffer until HTTP/2's first flush, so that the handshake itself does not fail.
    stream: BufStream<S>,
    greeting: GreetingReader,
    frames: Frames,
}

impl<S: AsyncRead + AsyncWrite + Unpin> InspectedStream<S> {
    /// Reads until the greeting is complete, or the connection has ended.
    fn poll_greeting(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.greeting.is_waiting() {
            let mut bytes = [0; 1024];
            let mut buffer = ReadBuf::new(&mut bytes);
            // An error counts as the end of the connection.
            let _read = ready!(Pin::new(&mut *self).poll_read(context, &mut buffer));
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for InspectedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        let bytes = &buffer.filled()[before..];
        self.frames.follow(bytes);
        self.greeting.feed(bytes);
        Poll::Ready(read)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for InspectedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    /// A flush fails if the peer has closed the connection, perhaps before its greeting was read. h2 stops reading after such an
    /// error, so the greeting is read before the error is returned.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(context));
        if flushed.is_err() {
            ready!(self.poll_greeting(context));
        }
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
