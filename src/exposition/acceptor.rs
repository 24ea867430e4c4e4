//! The listening sockets, and the pause after a failed accept(2).

use std::{
    future::poll_fn,
    io, mem,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    time::{Instant, sleep_until},
};
use tokio_util::either::Either;

use super::ServerError;
use crate::activation::Socket;

/// Pause after accept(2) has failed for lack of descriptors or memory, to avoid a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The metrics sockets. They take turns, so that none keeps the others waiting.
#[derive(Debug)]
pub(super) struct Acceptors {
    listeners: Vec<Listener>,
    /// Index of the socket to poll first.
    next: usize,
    resume: Instant,
    /// Whether the last accept(2) failed, which was logged.
    failing: bool,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

pub(super) type Stream = Either<TcpStream, UnixStream>;

impl Acceptors {
    /// Must be called within the runtime, which then watches the sockets.
    pub(super) fn new(sockets: Vec<Socket>) -> Result<Self, ServerError> {
        let listeners = sockets.into_iter().map(|socket| {
            let address = socket.to_string();
            Listener::new(socket).map_err(|source| ServerError { address, source })
        });
        Ok(Self {
            listeners: listeners.collect::<Result<_, _>>()?,
            next: 0,
            resume: Instant::now(),
            failing: false,
        })
    }

    /// Waits for the next connection. Cancel-safe.
    pub(super) async fn accept(&mut self) -> Stream {
        loop {
            if self.resume > Instant::now() {
                sleep_until(self.resume).await;
            }
            match poll_fn(|context| self.poll_accept(context)).await {
                Ok(stream) => {
                    self.failing = false;
                    return stream;
                }
                // Closed by the client while it was queued; other connections are not affected.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    self.resume = Instant::now() + ACCEPT_PAUSE;
                    if !mem::replace(&mut self.failing, true) {
                        tracing::warn!(%error, pause = ?ACCEPT_PAUSE, "no connection accepted");
                    }
                }
            }
        }
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let (before, first) = self.listeners.split_at(self.next);
        let in_turn = first.iter().chain(before).zip(1..);
        for (listener, turn) in in_turn {
            if let Poll::Ready(accepted) = listener.poll_accept(context) {
                self.next = (self.next + turn) % self.listeners.len();
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }
}

impl Listener {
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
                .map_ok(|(stream, _)| Either::Left(stream)),
            Self::Unix(listener) => listener
                .poll_accept(context)
                .map_ok(|(stream, _)| Either::Right(stream)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net;

    use tokio_util::either::Either;

    use super::{Acceptors, Socket};

    #[tokio::test]
    async fn sockets_with_waiting_connections_take_turns() {
        let listeners = [(); 2].map(|()| {
            let listener = net::TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
            listener.set_nonblocking(true).expect("it takes the option");
            listener
        });
        let addresses = listeners
            .each_ref()
            .map(|listener| listener.local_addr().expect("it is bound"));
        let connect = |address| net::TcpStream::connect(address).expect("it listens");
        let _waiting = addresses.map(|address| [connect(address), connect(address)]);
        let mut acceptors = Acceptors::new(listeners.map(Socket::Tcp).into())
            .unwrap_or_else(|error| panic!("{error}"));
        let mut accepted = Vec::new();
        for _ in 0..4 {
            let Either::Left(stream) = acceptors.accept().await else {
                panic!("there is no Unix socket");
            };
            accepted.push(stream.local_addr().expect("it is connected"));
        }
        let [one, other] = addresses;
        assert_eq!(accepted, [one, other, one, other]);
    }
}
