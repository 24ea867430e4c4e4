//! The open connections, and their limit.

use std::{
    collections::HashMap,
    future::poll_fn,
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use rustix::process::{Resource, getrlimit};
use tokio::{
    task::{AbortHandle, Id, JoinSet},
    time::{Instant, sleep},
};

use super::activity::{Activity, longest_silent};
use crate::work;

/// Maximum number of connections served at the same time, if there are enough descriptors.
///
/// Each takes up to 27 KiB, for the head of a request, an answer and fragmentation: at the limit the process uses less than 24 MB.
const MAX_CONNECTIONS: usize = 640;

/// Descriptors reserved for queries, traces and the service itself.
const RESERVED_DESCRIPTORS: usize = 64;

/// Pause before the next attempt to close a connection, if none can be closed yet.
const RETRY: Duration = Duration::from_millis(100);

/// The tasks of the connections.
#[derive(Debug)]
pub(super) struct Connections {
    tasks: JoinSet<()>,
    /// The connections that are not being closed.
    open: HashMap<Id, (AbortHandle, Arc<Activity>)>,
    occupancy: Arc<Occupancy>,
    /// Whether the warning about the limit has been logged.
    warned: bool,
}

/// The number of open connections, and its limit.
#[derive(Debug)]
pub(super) struct Occupancy {
    open: AtomicUsize,
    limit: usize,
}

impl Occupancy {
    /// Whether more than three quarters of the limit are open: answers then close their connections.
    pub(super) fn is_scarce(&self) -> bool {
        self.open.load(Ordering::Relaxed) > self.limit / 4 * 3
    }
}

impl Connections {
    /// An empty set; see [`limit`] for its argument.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            tasks: JoinSet::new(),
            open: HashMap::new(),
            occupancy: Arc::new(Occupancy {
                open: AtomicUsize::new(0),
                limit,
            }),
            warned: false,
        }
    }

    pub(super) fn occupancy(&self) -> Arc<Occupancy> {
        Arc::clone(&self.occupancy)
    }

    /// Polls the task of a new connection once, so that a request that has already arrived is answered, and spawns it if it is not
    /// done.
    pub(super) async fn spawn(
        &mut self,
        activity: Arc<Activity>,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let mut task = Box::pin(catch_panic(task));
        let is_over = poll_fn(|context| Poll::Ready(task.as_mut().poll(context).is_ready())).await;
        if is_over {
            return;
        }
        let handle = self.tasks.spawn(task);
        self.open.insert(handle.id(), (handle, activity));
        self.count();
    }

    /// Waits for the end of a connection; `None` if there is none.
    pub(super) async fn ended(&mut self) -> Option<()> {
        let id = match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => id,
            // It was closed to make room.
            Err(error) => error.id(),
        };
        self.open.remove(&id);
        self.count();
        Some(())
    }

    /// Whether the limit is exceeded by one: a new connection is accepted before another one is closed for it.
    pub(super) fn is_over_limit(&self) -> bool {
        self.open.len() > self.occupancy.limit
    }

    pub(super) async fn retry() {
        sleep(RETRY).await;
    }

    /// Closes the connection that has been silent longest, if the limit is exceeded.
    ///
    /// Every task whose connection has received bytes must have run before: until then the connection looks silent.
    pub(super) fn make_room(&mut self) {
        if !self.is_over_limit() {
            return;
        }
        let activities = self.open.iter();
        let states = activities.map(|(id, (_, activity))| (*id, activity.state()));
        let Some((task, _)) =
            longest_silent(Instant::now(), states).and_then(|id| self.open.remove(&id))
        else {
            return;
        };
        task.abort();
        self.count();
        if !mem::replace(&mut self.warned, true) {
            tracing::warn!(
                connections = self.occupancy.limit,
                "too many connections; the one that has been silent longest is closed for each new one"
            );
        }
    }

    pub(super) async fn drain(&mut self) {
        while self.ended().await.is_some() {}
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    fn count(&mut self) {
        self.occupancy
            .open
            .store(self.open.len(), Ordering::Relaxed);
        self.warned &= self.occupancy.is_scarce();
    }
}

/// A panic ends only this connection: connections share nothing but counters.
async fn catch_panic(task: impl Future<Output = ()>) {
    if let Err(error) = work::caught(task).await {
        tracing::error!(%error, "connection lost");
    }
}

/// The number of connections that the soft limit on descriptors (getrlimit(2)) allows.
pub(super) fn limit() -> usize {
    limit_within(getrlimit(Resource::Nofile).current)
}

/// `None` means that descriptors are not limited.
fn limit_within(descriptors: Option<u64>) -> usize {
    let descriptors = descriptors.and_then(|limit| usize::try_from(limit).ok());
    let Some(descriptors) = descriptors else {
        return MAX_CONNECTIONS;
    };
    let left = descriptors.saturating_sub(RESERVED_DESCRIPTORS);
    left.max(descriptors / 2).min(MAX_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::Arc};

    use super::{Activity, Connections, MAX_CONNECTIONS, limit_within};

    fn activity() -> Arc<Activity> {
        Arc::new(Activity::begin())
    }

    #[test]
    fn connections_leave_descriptors_to_queries_and_traces() {
        assert_eq!(limit_within(None), MAX_CONNECTIONS);
        assert_eq!(limit_within(Some(524_288)), MAX_CONNECTIONS);
        assert_eq!(limit_within(Some(704)), 640);
        assert_eq!(limit_within(Some(703)), 639);
        assert_eq!(limit_within(Some(64)), 32);
        assert_eq!(limit_within(Some(20)), 10);
    }

    #[tokio::test]
    async fn a_panic_costs_its_connection_and_no_other() {
        let mut connections = Connections::new(3);
        connections.spawn(activity(), pending()).await;
        let at_once = async { panic!("out of cheese") };
        connections.spawn(activity(), at_once).await;
        let later = async {
            tokio::task::yield_now().await;
            panic!("out of cheese")
        };
        connections.spawn(activity(), later).await;
        assert_eq!(connections.ended().await, Some(()));
        assert_eq!(connections.len(), 1);
    }

    #[tokio::test]
    async fn only_a_connection_beyond_the_limit_costs_another_one() {
        let mut connections = Connections::new(2);
        let (sender, closed) = tokio::sync::oneshot::channel::<()>();
        let oldest = async {
            let _sender = sender;
            pending().await
        };
        connections.spawn(activity(), oldest).await;
        connections.spawn(activity(), pending()).await;
        connections.make_room();
        assert_eq!(connections.len(), 2);
        connections.spawn(activity(), pending()).await;
        assert!(connections.is_over_limit());
        connections.make_room();
        closed.await.expect_err("the oldest one is closed");
        assert!(!connections.is_over_limit());
    }
}
