//! The tasks of a connection, which end with it.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use hyper::rt::Executor;
use tokio::task::JoinSet;

use super::Panic;

/// The tasks that tonic and hyper spawn for one connection. Dropping it aborts them; their sockets close a little later.
///
/// Without an owner they could live for as long as the peer keeps the connection open: a call that waits for
/// SETTINGS_MAX_CONCURRENT_STREAMS keeps them alive even if nothing awaits the call any more.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Arc<Mutex<JoinSet<()>>>);

/// Spawns into [`Tasks`] until they are dropped. A weak reference, because the tasks hold their executor.
#[derive(Clone, Debug)]
pub(crate) struct TasksExecutor(Weak<Mutex<JoinSet<()>>>);

impl Tasks {
    pub(crate) fn executor(&self) -> TasksExecutor {
        TasksExecutor(Arc::downgrade(&self.0))
    }

    /// The panic of a task that has ended since the last call, if any panicked.
    pub(crate) fn panicked(&self) -> Option<Panic> {
        let mut tasks = lock(&self.0);
        while let Some(ended) = tasks.try_join_next() {
            if let Some(payload) = ended.err().and_then(|error| error.try_into_panic().ok()) {
                return Some(Panic::of(payload.as_ref()));
            }
        }
        None
    }

    /// Aborts all tasks, and waits until they have been dropped.
    pub(crate) async fn end(&self) {
        let mut tasks = mem::take(&mut *lock(&self.0));
        tasks.shutdown().await;
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for TasksExecutor {
    fn execute(&self, task: F) {
        if let Some(tasks) = self.0.upgrade() {
            lock(&tasks).spawn(task);
        }
    }
}

/// Nothing panics while the lock is held.
fn lock(tasks: &Mutex<JoinSet<()>>) -> MutexGuard<'_, JoinSet<()>> {
    tasks.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::Arc};

    use hyper::rt::Executor;
    use tokio::task::yield_now;

    use super::Tasks;

    /// A value held by a task that never ends and holds its executor, like those of a connection.
    fn held_by_a_task_of(tasks: &Tasks) -> Arc<()> {
        let held = Arc::new(());
        let (executor, in_task) = (tasks.executor(), Arc::clone(&held));
        tasks.executor().execute(async move {
            let _held = (in_task, executor);
            pending().await
        });
        held
    }

    #[tokio::test]
    async fn nothing_is_left_of_tasks_that_have_been_ended() {
        let tasks = Tasks::default();
        let held = held_by_a_task_of(&tasks);
        yield_now().await;
        assert_eq!(Arc::strong_count(&held), 2);
        tasks.end().await;
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test]
    async fn tasks_end_when_their_owner_is_dropped() {
        let tasks = Tasks::default();
        let held = held_by_a_task_of(&tasks);
        yield_now().await;
        drop(tasks);
        yield_now().await;
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test]
    async fn a_panic_in_a_task_is_reported_to_the_owner() {
        let tasks = Tasks::default();
        tasks.executor().execute(async {});
        tasks.executor().execute(async { panic!("out of cheese") });
        assert!(tasks.panicked().is_none());
        yield_now().await;
        let panic = tasks.panicked().expect("it has panicked");
        assert!(panic.to_string().contains("out of cheese"), "{panic}");
    }
}
