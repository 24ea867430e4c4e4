//! When a query is given up.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::connect_error::{ConnectError, Phase};
use crate::answer::QueryError;

/// When a query is given up: at its deadline, or when the service stops.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    timeout: Duration,
    deadline: Instant,
    abandoned: CancellationToken,
}

impl Limit {
    /// From now on for `timeout`, or until `abandoned` is cancelled.
    #[must_use]
    pub(crate) fn new(timeout: Duration, abandoned: CancellationToken) -> Self {
        Self {
            timeout,
            deadline: Instant::now() + timeout,
            abandoned,
        }
    }

    /// The same limit, but `timeout` from now at the latest.
    pub(in crate::images) fn at_most(&self, timeout: Duration) -> Self {
        if self.remaining() < timeout {
            return self.clone();
        }
        Self::new(timeout, self.abandoned.clone())
    }

    pub(super) fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Awaits `work` for as long as the limit permits.
    pub(super) async fn hold<T>(
        &self,
        work: impl Future<Output = Result<T, QueryError>>,
    ) -> Result<T, QueryError> {
        // In this order: tonic and the store learn the deadline too, and what ends because of it is not to hide it.
        tokio::select! {
            biased;
            () = self.abandoned.cancelled() => Err(QueryError::Abandoned),
            () = sleep_until(self.deadline) => Err(QueryError::Deadline(self.timeout)),
            outcome = work => outcome,
        }
    }

    /// The same, while connecting: a deadline that ends it says in which phase.
    pub(super) async fn hold_while<T>(
        &self,
        phase: Phase,
        work: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, QueryError> {
        let work = async { Ok(work.await?) };
        self.hold(work).await.map_err(|error| match error {
            QueryError::Deadline(timeout) => ConnectError::Silent { timeout, phase }.into(),
            error => error,
        })
    }
}
