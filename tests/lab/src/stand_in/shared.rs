//! The state that the serving thread and the [`StandIn`](super::StandIn) share.

use std::collections::HashMap;
use std::sync::mpsc;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Protocol;
use super::behaviour::Behaviour;
use super::call::Call;

/// The state, and a condition variable for its changes.
#[derive(Debug)]
pub(super) struct Shared<P: Protocol> {
    state: Mutex<State<P>>,
    changed: Condvar,
    pub(super) releases: watch::Sender<u64>,
}

#[derive(Debug)]
pub(super) struct State<P: Protocol> {
    pub(super) store: P,
    pub(super) behaviour: Behaviour,
    pub(super) by_method: HashMap<P::Method, Behaviour>,
    pub(super) calls: Vec<Call<P>>,
    pub(super) followers: Vec<mpsc::Sender<Call<P>>>,
    pub(super) accepted: usize,
    pub(super) open: usize,
}

impl<P: Protocol> Shared<P> {
    pub(super) fn new(store: P) -> Self {
        Self {
            state: Mutex::new(State {
                store,
                behaviour: Behaviour::Answer,
                by_method: HashMap::new(),
                calls: Vec::new(),
                followers: Vec::new(),
                accepted: 0,
                open: 0,
            }),
            changed: Condvar::new(),
            releases: watch::Sender::new(0),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().expect("no holder of this lock panics")
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State<P>) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until `reached` holds or `within` has elapsed.
    pub(super) fn wait_until(
        &self,
        within: Duration,
        reached: impl Fn(&State<P>) -> bool,
    ) -> MutexGuard<'_, State<P>> {
        let started = Instant::now();
        let mut state = self.lock();
        while !reached(&state) {
            let Some(left) = within.checked_sub(started.elapsed()) else {
                break;
            };
            (state, _) = self
                .changed
                .wait_timeout(state, left)
                .expect("no holder of this lock panics");
        }
        state
    }
}
