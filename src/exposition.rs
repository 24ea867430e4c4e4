//! The metrics socket: HTTP/1.1 for Prometheus, and a status page for people.
//!
//! A scrape never queries a store; it reads the last results. Many connections are served at once, but a new one is accepted only
//! when the requests that have arrived are answered: a SIGKILL loses only the requests that are being answered at that moment.
//! Connections that are not accepted yet wait in systemd's socket for the next process.
//!
//! Clients that hold connections do not keep others out: at the limit, the connection that has been silent longest is closed.

use std::{io, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{activation::Socket, metrics::Metrics, status::Status};

mod acceptor;
mod activity;
mod connection;
mod connections;
mod negotiation;
mod pages;
mod watched;

use acceptor::Acceptors;
use activity::Activity;
use connection::Shared;
use connections::Connections;

/// Time limit for the last answers after a stop signal.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

/// Serves the metrics sockets.
#[derive(Debug)]
pub struct Server {
    acceptors: Acceptors,
}

/// Why a socket cannot be served.
#[derive(Debug, Error)]
#[error(
    "cannot serve metrics at {address}: the kernel cannot watch the socket; see epoll_ctl(2), and for ENOSPC fs.epoll.max_user_watches"
)]
pub struct ServerError {
    /// The socket's address.
    address: String,
    /// The error of epoll_ctl(2).
    source: io::Error,
}

impl Server {
    /// Registers the sockets with the runtime, within which it must be called. All that can fail is done here, before the service
    /// reports that it is ready.
    ///
    /// # Errors
    ///
    /// When the runtime cannot watch one of them.
    pub fn new(listeners: Vec<Socket>) -> Result<Self, ServerError> {
        Ok(Self {
            acceptors: Acceptors::new(listeners)?,
        })
    }

    /// Serves until `stopping` is cancelled, then answers what was accepted, for at most five seconds.
    ///
    /// An error on a connection affects only that connection.
    pub async fn serve(mut self, metrics: Metrics, status: Status, stopping: CancellationToken) {
        let mut connections = Connections::new(connections::limit());
        let shared = Shared {
            metrics,
            status,
            occupancy: connections.occupancy(),
            stopping: stopping.clone(),
        };
        loop {
            tokio::select! {
                biased;
                () = stopping.cancelled() => break,
                Some(()) = connections.ended() => {}
                stream = self.acceptors.accept(), if !connections.is_over_limit() => {
                    let activity = Arc::new(Activity::begin());
                    let task = shared.clone().serve(stream, Arc::clone(&activity));
                    // Answers a request that has already arrived.
                    connections.spawn(activity, task).await;
                    if connections.is_over_limit() {
                        // Let all connections answer the requests that have arrived, before one is closed as silent.
                        tokio::task::yield_now().await;
                        connections.make_room();
                    }
                }
                () = Connections::retry(), if connections.is_over_limit() => connections.make_room(),
            }
        }
        if timeout(DRAIN_GRACE, connections.drain()).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "connections closed unanswered"
            );
        }
    }
}
