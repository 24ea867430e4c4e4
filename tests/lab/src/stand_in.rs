//! A stand-in for an image store: real gRPC over TCP or a Unix socket, and misbehaviour on command.
//!
//! It runs in its own thread, so that synchronous tests, benches and examples can use it. Dropping a [`StandIn`] stops it. A
//! [`Protocol`] defines its methods and its store: [`crate::rkt_api_service`], [`crate::cri_runtime`], [`crate::containerd_api`].
//!
//! | module | contents |
//! | --- | --- |
//! | `listen` | the sockets |
//! | `connection` | accepts connections, reads calls |
//! | `response` | writes responses, correct or broken |
//! | `listing` | messages that list images, generated while they are sent |
//! | `message` | gRPC framing of listings, which are never held in memory as a whole |
//! | `behaviour` | all ways to answer a call |
//! | `call` | received calls |
//! | `shared` | the state that the stand-in's thread and its user share |

mod behaviour;
mod call;
mod connection;
mod listen;
mod listing;
mod message;
mod response;
mod shared;

use std::fmt;
use std::hash::Hash;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use http::HeaderMap;
use prost::DecodeError;
use tokio::sync::oneshot;
use tonic::{Code, Status};

pub use behaviour::{Behaviour, Language};
pub use call::Call;
pub use h2::Reason;
pub use listing::Listing;

pub(crate) use listing::{BLOCK, encoded_len, put_image};

use listen::{Listen, Listener};
use shared::{Shared, State};

/// A stand-in's methods and its store.
pub trait Protocol: Clone + fmt::Debug + Send + Sized + 'static {
    /// The kind of store: the part before `+` in the service's `--store`.
    const KIND: &'static str;

    /// The served methods.
    type Method: Copy + fmt::Debug + Eq + Hash + Send;

    /// A request message.
    type Request: Clone + fmt::Debug + Send;

    /// The method of a `:path`; `None` if it is not served.
    fn method(path: &str) -> Option<Self::Method>;

    /// The request message of a method.
    ///
    /// # Errors
    ///
    /// If the bytes are not this protobuf message.
    fn decode(method: Self::Method, message: &[u8]) -> Result<Self::Request, DecodeError>;

    /// The request with what the protocol has in metadata.
    ///
    /// # Errors
    ///
    /// The status with which a real server refuses this metadata.
    fn with_metadata(
        request: Self::Request,
        _metadata: &HeaderMap,
    ) -> Result<Self::Request, Status> {
        Ok(request)
    }

    /// The messages of the correct response. Methods that do not stream have one message.
    fn answer(&self, request: &Self::Request) -> Vec<Listing>;

    /// A message that lists this many images.
    fn generated(count: usize) -> Listing;
}

/// The name of a code as gRPC's specification spells it, for example `RESOURCE_EXHAUSTED`.
pub fn code_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// A running stand-in. Dropping it stops it, see [`StandIn::stop`].
#[derive(Debug)]
pub struct StandIn<P: Protocol> {
    shared: Arc<Shared<P>>,
    listen: Listen,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl<P: Protocol> StandIn<P> {
    /// Serves on a free port of 127.0.0.1. Panics if there is none.
    pub fn tcp(store: impl Into<P>) -> Self {
        Self::tcp_at(SocketAddr::from(([127, 0, 0, 1], 0)), store)
            .expect("127.0.0.1 has a free port")
    }

    /// Serves on `address`; port 0 selects a free port.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub fn tcp_at(address: SocketAddr, store: impl Into<P>) -> io::Result<Self> {
        Self::at(&Listen::Tcp(address), store)
    }

    /// Serves on a Unix socket at `path`. Replaces a stale socket file.
    ///
    /// # Errors
    ///
    /// If the path cannot be bound, or if another process listens there.
    pub fn unix(path: &Path, store: impl Into<P>) -> io::Result<Self> {
        Self::at(&Listen::Unix(path.to_owned()), store)
    }

    fn at(listen: &Listen, store: impl Into<P>) -> io::Result<Self> {
        let (listener, listen) = Listener::bind(listen)?;
        let shared = Arc::new(Shared::new(store.into()));
        let serving = Arc::clone(&shared);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(format!("{} stand-in", P::KIND))
            .spawn(move || serve(listener, serving, stopped))?;
        Ok(Self {
            shared,
            listen,
            running: Some((stop, thread)),
        })
    }

    /// The value for the service's `--store`, such as `rkt+http://127.0.0.1:PORT` or `cri+unix:///path`.
    pub fn url(&self) -> String {
        match &self.listen {
            Listen::Tcp(address) => format!("{}+http://{address}", P::KIND),
            Listen::Unix(path) => format!("{}+unix://{}", P::KIND, path.display()),
        }
    }

    /// The TCP address that it listens on. Panics if it listens on a Unix socket.
    pub fn address(&self) -> SocketAddr {
        match &self.listen {
            Listen::Tcp(address) => *address,
            Listen::Unix(path) => panic!("the stand-in listens on {}", path.display()),
        }
    }

    /// Answers every method like this, from the next call on. Behaviours of single methods are reset.
    /// Calls that hang continue to hang until [`StandIn::release`] or [`StandIn::stop`].
    pub fn behave(&self, behaviour: Behaviour) {
        let mut state = self.shared.lock();
        state.behaviour = behaviour;
        state.by_method.clear();
    }

    /// Answers one method like this, from the next call on.
    pub fn behave_for(&self, method: P::Method, behaviour: Behaviour) {
        self.shared.lock().by_method.insert(method, behaviour);
    }

    /// Changes the store, from the next call on.
    pub(crate) fn change_store(&self, change: impl FnOnce(&mut P)) {
        change(&mut self.shared.lock().store);
    }

    /// All calls so far, in the order of their arrival.
    pub fn calls(&self) -> Vec<Call<P>> {
        self.shared.lock().calls.clone()
    }

    /// Receives every call from now on; ends when the stand-in stops.
    pub fn follow(&self) -> mpsc::Receiver<Call<P>> {
        let (follower, calls) = mpsc::channel();
        self.shared.lock().followers.push(follower);
        calls
    }

    /// Blocks until at least `n` calls have arrived since the start, and returns all of them. Panics after `within`.
    pub fn wait_for_calls(&self, n: usize, within: Duration) -> Vec<Call<P>> {
        let arrived = |state: &State<P>| state.calls.len() >= n;
        let calls = self.shared.wait_until(within, arrived).calls.clone();
        assert!(
            calls.len() >= n,
            "after {within:?}, {} of {n} calls have reached the stand-in: {calls:#?}",
            calls.len()
        );
        calls
    }

    /// The number of connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.lock().accepted
    }

    /// The number of open connections.
    pub fn open_connections(&self) -> usize {
        self.shared.lock().open
    }

    /// Blocks until exactly `n` connections are open. A client on the same thread makes no progress meanwhile. Panics after
    /// `within`.
    pub fn wait_for_open_connections(&self, n: usize, within: Duration) {
        let open = self.shared.wait_until(within, |state| state.open == n).open;
        assert!(
            open == n,
            "after {within:?}, {open} connections to the stand-in are open, not {n}"
        );
    }

    /// Lets the calls that hang now complete correctly.
    pub fn release(&self) {
        self.shared.releases.send_modify(|releases| *releases += 1);
    }

    /// Closes the listener and all connections at once, and removes the socket file: the next connection is refused.
    pub fn stop(self) {}

    /// Like [`StandIn::stop`], but leaves a stale Unix socket file behind, like a killed process.
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

impl<P: Protocol> Drop for StandIn<P> {
    fn drop(&mut self) {
        if self.end()
            && let Listen::Unix(path) = &self.listen
        {
            let _gone_already = std::fs::remove_file(path);
        }
    }
}

/// Serves until the sender of `stopped` is dropped. Then the listener, all connections and all calls are dropped.
fn serve<P: Protocol>(listener: Listener, shared: Arc<Shared<P>>, stopped: oneshot::Receiver<()>) {
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
