//! A stand-in for rkt's api-service: the real protocol over TCP or a Unix socket, and misbehaviour on command.
//!
//! It serves `v1alpha.PublicAPI/ListImages` and `/GetInfo` from a thread of its own, so plain synchronous tests,
//! benches and the `rkt-api-service` example can all use it. Dropping a [`StandIn`] stops it.
//!
//! | module | what it is |
//! | --- | --- |
//! | `listen` | where it listens |
//! | `connection` | accepts connections, reads calls |
//! | `response` | what is written in answer, well or badly |
//! | `message` | gRPC framing of a listing that is never held whole |
//! | `images`, `images/*` | what the store holds |
//! | `behaviour` | every way to answer, and its name on the command line |
//! | `call` | what arrived |
//! | `shared` | what its thread and its user both see |

mod behaviour;
mod call;
mod connection;
mod images;
mod listen;
mod message;
mod response;
mod shared;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

pub use behaviour::{Behaviour, InvalidBehaviour};
pub use call::{Call, Method, Request};
pub use h2::Reason;
pub use images::{Images, Totals};
pub use listen::{InvalidListen, Listen};

use listen::Listener;
use shared::{Shared, State};

/// What `proto/rkt.proto` compiles to.
pub mod v1alpha {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    tonic::include_proto!("v1alpha");
}

/// A running stand-in; dropping it is [`StandIn::stop`].
#[derive(Debug)]
pub struct StandIn {
    shared: Arc<Shared>,
    listen: Listen,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl StandIn {
    /// Serves on a free port of 127.0.0.1. Panics when there is none.
    pub fn tcp(images: Images) -> Self {
        Self::tcp_at(SocketAddr::from(([127, 0, 0, 1], 0)), images)
            .expect("127.0.0.1 has a free port")
    }

    /// Serves at `address`; port 0 means any free one.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub fn tcp_at(address: SocketAddr, images: Images) -> io::Result<Self> {
        Self::at(&Listen::Tcp(address), images)
    }

    /// Serves on a Unix socket at `path`, taking over a stale socket file.
    ///
    /// # Errors
    ///
    /// When the path cannot be bound, or when somebody listens there.
    pub fn unix(path: &Path, images: Images) -> io::Result<Self> {
        Self::at(&Listen::Unix(path.to_owned()), images)
    }

    /// Serves at `listen`.
    ///
    /// # Errors
    ///
    /// As [`StandIn::tcp_at`] and [`StandIn::unix`].
    pub fn at(listen: &Listen, images: Images) -> io::Result<Self> {
        let (listener, listen) = Listener::bind(listen)?;
        let shared = Arc::new(Shared::new(images));
        let serving = Arc::clone(&shared);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("rkt-api-service".into())
            .spawn(move || serve(listener, serving, stopped))?;
        Ok(Self {
            shared,
            listen,
            running: Some((stop, thread)),
        })
    }

    /// What the service's `--store` takes: `rkt+http://127.0.0.1:PORT` or `rkt+unix:///path`.
    pub fn url(&self) -> String {
        match &self.listen {
            Listen::Tcp(address) => format!("rkt+http://{address}"),
            Listen::Unix(path) => format!("rkt+unix://{}", path.display()),
        }
    }

    /// The address listened at. Panics on a Unix socket, which has none.
    pub fn address(&self) -> SocketAddr {
        match &self.listen {
            Listen::Tcp(address) => *address,
            Listen::Unix(path) => panic!("{} is a Unix socket: it has no address", path.display()),
        }
    }

    /// Answers every method like this, from the next call on; what was set for single methods is forgotten.
    /// Calls that hang stay hung until [`StandIn::release`] or [`StandIn::stop`].
    pub fn behave(&self, behaviour: Behaviour) {
        let mut state = self.shared.lock();
        state.behaviour = behaviour;
        state.by_method.clear();
    }

    /// Answers one method like this, from the next call on.
    pub fn behave_for(&self, method: Method, behaviour: Behaviour) {
        self.shared.lock().by_method.insert(method, behaviour);
    }

    /// Changes what the store holds, from the next call on.
    pub fn serve_images(&self, images: Images) {
        self.shared.lock().images = Arc::new(images);
    }

    /// Changes what GetInfo says, from the next call on; at first `1.30.0`, `0.8.11` and `1.0.0-alpha`.
    pub fn serve_info(&self, info: v1alpha::Info) {
        self.shared.lock().info = info;
    }

    /// The calls that arrived so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.lock().calls.clone()
    }

    /// Every call from now on, as it arrives; ends when the stand-in stops.
    pub fn follow(&self) -> mpsc::Receiver<Call> {
        let (follower, calls) = mpsc::channel();
        self.shared.lock().followers.push(follower);
        calls
    }

    /// Blocks the thread until at least `n` calls arrived since the start and returns all of them. Panics after
    /// `within`.
    pub fn wait_for_calls(&self, n: usize, within: Duration) -> Vec<Call> {
        let arrived = |state: &State| state.calls.len() >= n;
        let calls = self.shared.wait_until(within, arrived).calls.clone();
        assert!(
            calls.len() >= n,
            "the stand-in waited {within:?} for {n} calls, and {} came: {calls:#?}",
            calls.len()
        );
        calls
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.lock().accepted
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> usize {
        self.shared.lock().open
    }

    /// Blocks the thread until exactly `n` connections are open; a client on the same thread gets nothing done
    /// meanwhile. Panics after `within`.
    pub fn wait_for_open_connections(&self, n: usize, within: Duration) {
        let open = self.shared.wait_until(within, |state| state.open == n).open;
        assert!(
            open == n,
            "the stand-in waited {within:?} for {n} open connections, and there are {open}"
        );
    }

    /// Lets the calls that hang now go on to their well-behaved end.
    pub fn release(&self) {
        self.shared.releases.send_modify(|releases| *releases += 1);
    }

    /// Closes the listener and all connections at once and removes the socket file: the next connect is refused.
    pub fn stop(self) {}

    /// As [`StandIn::stop`], but leaves a Unix socket's file behind, stale, as a killed process does.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) -> bool {
        let Some((stop, thread)) = self.running.take() else {
            return false;
        };
        drop(stop);
        let ended = thread.join();
        self.shared.lock().followers.clear();
        assert!(
            ended.is_ok() || std::thread::panicking(),
            "the stand-in's thread panicked"
        );
        true
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if self.end()
            && let Listen::Unix(path) = &self.listen
        {
            let _gone_already = std::fs::remove_file(path);
        }
    }
}

/// Serves until `stopped`, whose sender need only be dropped; then nothing of listener, connections and calls is left.
fn serve(listener: Listener, shared: Arc<Shared>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs a few file descriptors");
    runtime.block_on(async {
        tokio::select! {
            () = connection::accept(listener, shared) => {}
            _ = stopped => {}
        }
    });
}
