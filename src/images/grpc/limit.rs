//! The time limit of a query.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::connect_error::{ConnectError, Phase};
use crate::answer::QueryError;

/// Ends a query at its deadline, or when the service stops.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    timeout: Duration,
    deadline: Instant,
    abandoned: CancellationToken,
}

impl Limit {
    /// Ends `timeout` from now, or when `abandoned` is cancelled.
    pub(crate) fn new(timeout: Duration, abandoned: CancellationToken) -> Self {
        Self {
            timeout,
            deadline: Instant::now() + timeout,
            abandoned,
        }
    }

    /// The same limit, but at most `timeout` from now.
    pub(in crate::images) fn at_most(&self, timeout: Duration) -> Self {
        if self.remaining() < timeout {
            return self.clone();
        }
        Self::new(timeout, self.abandoned.clone())
    }

    pub(in crate::images) fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Awaits `work` until the limit.
    pub(in crate::images) async fn hold<T>(
        &self,
        work: impl Future<Output = Result<T, QueryError>>,
    ) -> Result<T, QueryError> {
        // In this order: tonic and the store enforce the deadline too, and their errors must not hide ours.
        tokio::select! {
            biased;
            () = self.abandoned.cancelled() => Err(QueryError::Abandoned),
            () = sleep_until(self.deadline) => Err(QueryError::Deadline(self.timeout)),
            outcome = work => outcome,
        }
    }

    /// As [`Self::hold`], but the error of the deadline names the phase of connecting.
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
