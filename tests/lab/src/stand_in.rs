//! A stand-in for an image store: real gRPC over TCP or a Unix socket, and misbehaviour on command.
//!
//! It serves from a thread of its own, so plain synchronous tests, benches and examples can all use it. Dropping a
//! [`StandIn`] stops it. What it speaks and holds is a [`Protocol`]: [`crate::rkt_api_service`], [`crate::cri_runtime`].
//!
//! | module | what it is |
//! | --- | --- |
//! | `listen` | where it listens |
//! | `connection` | accepts connections, reads calls |
//! | `response` | what is written in answer, well or badly |
//! | `listing` | messages that list images, made while they are read |
//! | `message` | gRPC framing of listings that are never held whole |
//! | `behaviour` | every way to answer |
//! | `call` | what arrived |
//! | `shared` | what its thread and its user both see |

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

use prost::DecodeError;
use tokio::sync::oneshot;
use tonic::Code;

pub use behaviour::{Behaviour, Language};
pub use call::Call;
pub use h2::Reason;
pub use listing::Listing;

pub(crate) use listing::{BLOCK, encoded_len, put_image};

use listen::{Listen, Listener};
use shared::{Shared, State};

/// What a stand-in speaks, and what it holds.
pub trait Protocol: Clone + fmt::Debug + Send + Sized + 'static {
    /// What stands before the `+` of the service's `--store`.
    const KIND: &'static str;

    /// The methods that are served.
    type Method: Copy + fmt::Debug + Eq + Hash + Send;

    /// A request message.
    type Request: Clone + fmt::Debug + Send;

    /// The method of a `:path`, when it is served.
    fn method(path: &str) -> Option<Self::Method>;

    /// The request message of a method.
    ///
    /// # Errors
    ///
    /// When it is no protobuf, or not this message's.
    fn decode(method: Self::Method, message: &[u8]) -> Result<Self::Request, DecodeError>;

    /// The right answer: the messages, of which all methods but streaming ones have one.
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

/// A running stand-in; dropping it is [`StandIn::stop`].
#[derive(Debug)]
pub struct StandIn<P: Protocol> {
    shared: Arc<Shared<P>>,
    listen: Listen,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl<P: Protocol> StandIn<P> {
    /// Serves on a free port of 127.0.0.1. Panics when there is none.
    pub fn tcp(store: impl Into<P>) -> Self {
        Self::tcp_at(SocketAddr::from(([127, 0, 0, 1], 0)), store)
            .expect("127.0.0.1 has a free port")
    }

    /// Serves at `address`; port 0 means any free one.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub fn tcp_at(address: SocketAddr, store: impl Into<P>) -> io::Result<Self> {
        Self::at(&Listen::Tcp(address), store)
    }

    /// Serves on a Unix socket at `path`, taking over a stale socket file.
    ///
    /// # Errors
    ///
    /// When the path cannot be bound, or when somebody listens there.
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

    /// What the service's `--store` takes, such as `rkt+http://127.0.0.1:PORT` or `cri+unix:///path`.
    pub fn url(&self) -> String {
        match &self.listen {
            Listen::Tcp(address) => format!("{}+http://{address}", P::KIND),
            Listen::Unix(path) => format!("{}+unix://{}", P::KIND, path.display()),
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
    pub fn behave_for(&self, method: P::Method, behaviour: Behaviour) {
        self.shared.lock().by_method.insert(method, behaviour);
    }

    /// Changes what the store holds or says, from the next call on.
    pub(crate) fn change_store(&self, change: impl FnOnce(&mut P)) {
        change(&mut self.shared.lock().store);
    }

    /// The calls that arrived so far, in order.
    pub fn calls(&self) -> Vec<Call<P>> {
        self.shared.lock().calls.clone()
    }

    /// Every call from now on, as it arrives; ends when the stand-in stops.
    pub fn follow(&self) -> mpsc::Receiver<Call<P>> {
        let (follower, calls) = mpsc::channel();
        self.shared.lock().followers.push(follower);
        calls
    }

    /// Blocks the thread until at least `n` calls arrived since the start and returns all of them. Panics after
    /// `within`.
    pub fn wait_for_calls(&self, n: usize, within: Duration) -> Vec<Call<P>> {
        let arrived = |state: &State<P>| state.calls.len() >= n;
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

impl<P: Protocol> Drop for StandIn<P> {
    fn drop(&mut self) {
        if self.end()
            && let Listen::Unix(path) = &self.listen
        {
            let _gone_already = std::fs::remove_file(path);
        }
    }
}

/// Serves until `stopped`, whose sender need only be dropped; then nothing of listener, connections and calls is left.
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
