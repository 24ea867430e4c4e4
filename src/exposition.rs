//! The metrics socket: HTTP/1.1 for Prometheus and for people.
//!
//! A scrape never asks a store; it reads what the last query left. A connection is accepted only when the request on the one
//! before is answered: a KILL may lose only the request being answered at that instant. What has not been accepted waits in
//! systemd's socket for the next process.

use std::{
    convert::Infallible,
    future::poll_fn,
    io, mem,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use crate::{
    activation::Socket,
    metrics::{CONTENT_TYPE, Metrics},
};

/// How long a client may take to send a request's head; as long an idle connection is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may leave an answer unread once no more of it can be sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Most of a request's head, and of unsent answers, that is kept for one connection, in bytes.
const MAX_BUFFER: usize = 16 * 1024;

/// Connections served at the same time; further ones wait in the kernel.
const MAX_CONNECTIONS: usize = 128;

/// Pause after accept(2) failed for want of descriptors or memory, instead of trying in a circle.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How long accepted connections that have not asked yet may still ask once the service stops.
const LINGER: Duration = Duration::from_millis(100);

/// How long the last answers may take.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

const LANDING_PAGE: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><title>exp-rkt-grpc</title></head>
<body>
<h1>exp-rkt-grpc</h1>
<p>Counts the images of container image stores when asked by SIGQUIT.</p>
<ul>
<li><a href=\"/metrics\">Metrics</a></li>
<li><a href=\"/-/healthy\">Healthy</a></li>
<li><a href=\"/-/ready\">Ready</a></li>
</ul>
</body>
</html>
";

/// The metrics sockets, from which the runtime hears of connections.
#[derive(Debug)]
pub struct Server {
    acceptors: Vec<Acceptor>,
}

/// Why a socket cannot be served.
#[derive(Debug, Error)]
#[error(
    "cannot serve metrics at {address}: the kernel does not watch the socket; see epoll_ctl(2), and fs.epoll.max_user_watches where it says ENOSPC"
)]
pub struct ServerError {
    /// The socket's address.
    address: String,
    /// What epoll_ctl(2) said.
    source: io::Error,
}

impl Server {
    /// Hands the sockets to the runtime, within which it must be called: whatever can fail does so here, and not when the service
    /// has said that it is ready.
    ///
    /// # Errors
    ///
    /// When the runtime cannot watch one of them.
    pub fn new(listeners: Vec<Socket>) -> Result<Self, ServerError> {
        let acceptors = listeners.into_iter().map(|listener| {
            let address = listener.to_string();
            Acceptor::new(listener).map_err(|source| ServerError { address, source })
        });
        Ok(Self {
            acceptors: acceptors.collect::<Result<_, _>>()?,
        })
    }

    /// Serves until `stopping` is cancelled, then answers what was accepted, for at most five seconds.
    ///
    /// Failures of connections are theirs.
    pub async fn serve(self, metrics: Metrics, stopping: CancellationToken) {
        let mut connections = JoinSet::new();
        let mut resume = Instant::now();
        let mut refused = false;
        loop {
            tokio::select! {
                biased;
                () = stopping.cancelled() => break,
                Some(_) = connections.join_next() => {}
                accepted = accept_after(&self.acceptors, resume), if connections.len() < MAX_CONNECTIONS => match accepted {
                    Ok(stream) => {
                        refused = false;
                        spawn(&mut connections, stream, metrics.clone(), stopping.clone());
                        tokio::task::yield_now().await;
                    }
                    // Died in the queue: nobody else's concern.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => {
                        resume = Instant::now() + ACCEPT_PAUSE;
                        if !mem::replace(&mut refused, true) {
                            tracing::warn!(%error, pause = ?ACCEPT_PAUSE, "no connection accepted");
                        }
                    }
                }
            }
        }
        let answered = timeout(DRAIN_GRACE, async {
            while connections.join_next().await.is_some() {}
        });
        if answered.await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "connections closed unanswered"
            );
        }
    }
}

#[derive(Debug)]
enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

impl Acceptor {
    fn new(socket: Socket) -> io::Result<Self> {
        Ok(match socket {
            Socket::Tcp(tcp) => Self::Tcp(TcpListener::from_std(tcp)?),
            Socket::Unix(unix) => Self::Unix(UnixListener::from_std(unix)?),
        })
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        match self {
            Self::Tcp(listener) => listener
                .poll_accept(context)
                .map_ok(|(stream, _)| Stream::Tcp(stream)),
            Self::Unix(listener) => listener
                .poll_accept(context)
                .map_ok(|(stream, _)| Stream::Unix(stream)),
        }
    }
}

async fn accept_after(acceptors: &[Acceptor], resume: Instant) -> io::Result<Stream> {
    if resume > Instant::now() {
        sleep_until(resume).await;
    }
    poll_fn(|context| {
        let mut accepted = acceptors
            .iter()
            .map(|acceptor| acceptor.poll_accept(context))
            .filter(Poll::is_ready);
        accepted.next().unwrap_or(Poll::Pending)
    })
    .await
}

fn spawn(
    connections: &mut JoinSet<()>,
    stream: Stream,
    metrics: Metrics,
    stopping: CancellationToken,
) {
    match stream {
        Stream::Tcp(stream) => connections.spawn(connection(stream, metrics, stopping)),
        Stream::Unix(stream) => connections.spawn(connection(stream, metrics, stopping)),
    };
}

async fn connection<S>(stream: S, metrics: Metrics, stopping: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let service = service_fn(|request| {
        let answer = answer(&request, &metrics, stopping.is_cancelled());
        async { Ok::<_, Infallible>(answer) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(MAX_BUFFER)
            // A client that has sent its request and no more will come waits for its answer.
            .half_close(true)
            .serve_connection(TokioIo::new(Box::pin(stream)), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = lingered(&stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection broken");
    }
}

/// Resolves when the service has been stopping for a moment.
async fn lingered(stopping: &CancellationToken) {
    stopping.cancelled().await;
    sleep(LINGER).await;
}

fn answer(request: &Request<Incoming>, metrics: &Metrics, stopping: bool) -> Response<Full<Bytes>> {
    let (path, mut response) = match request.uri().path() {
        "/metrics" => ("/metrics", exposition(metrics)),
        "/" => ("/", text("text/html; charset=utf-8", LANDING_PAGE)),
        "/-/healthy" => ("/-/healthy", plain(StatusCode::OK, "healthy\n")),
        "/-/ready" if stopping => (
            "/-/ready",
            plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
        ),
        "/-/ready" => ("/-/ready", plain(StatusCode::OK, "ready\n")),
        _ => ("other", plain(StatusCode::NOT_FOUND, "not found; see /\n")),
    };
    if path != "other" && !matches!(*request.method(), Method::GET | Method::HEAD) {
        response = method_not_allowed();
    }
    if stopping {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    metrics.http_request(path, response.status().as_str());
    response
}

fn exposition(metrics: &Metrics) -> Response<Full<Bytes>> {
    match metrics.encode() {
        Ok(body) => text(CONTENT_TYPE, body),
        Err(error) => {
            tracing::error!(%error, "metrics not encoded");
            plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "metrics not encoded; see the log\n",
            )
        }
    }
}

fn method_not_allowed() -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn plain(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = text("text/plain; charset=utf-8", body);
    *response.status_mut() = status;
    response
}

fn text(content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
