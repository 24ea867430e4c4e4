//! What the serving thread and the [`StandIn`](super::StandIn) have in common.

use std::collections::HashMap;
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::behaviour::Behaviour;
use super::call::{Call, Method};
use super::images::Images;
use super::v1alpha;

/// The state, and who waits for it to change.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    pub(super) releases: watch::Sender<u64>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) images: Arc<Images>,
    pub(super) info: v1alpha::Info,
    pub(super) behaviour: Behaviour,
    pub(super) by_method: HashMap<Method, Behaviour>,
    pub(super) calls: Vec<Call>,
    pub(super) followers: Vec<mpsc::Sender<Call>>,
    pub(super) accepted: usize,
    pub(super) open: usize,
}

impl Shared {
    pub(super) fn new(images: Images) -> Self {
        Self {
            state: Mutex::new(State {
                images: Arc::new(images),
                info: v1alpha::Info {
                    rkt_version: "1.30.0".into(),
                    appc_version: "0.8.11".into(),
                    api_version: "1.0.0-alpha".into(),
                },
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

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Returns when `reached` holds or `within` is over.
    pub(super) fn wait_until(
        &self,
        within: Duration,
        reached: impl Fn(&State) -> bool,
    ) -> MutexGuard<'_, State> {
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
