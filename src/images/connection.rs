//! The connection of one query, which ends with it.

use tokio::sync::OnceCell;

use super::{error::QueryError, peer::Channel};
use crate::work::{self, Tasks};

/// The connection of one query, which its first call makes.
#[derive(Debug, Default)]
pub struct Connection {
    pub(super) channel: OnceCell<Channel>,
    pub(super) tasks: Tasks,
}

impl Connection {
    /// Awaits a call. A panic in it, or in what it has lost the connection by, is its error.
    pub(super) async fn guard<T>(
        &self,
        call: impl Future<Output = Result<T, QueryError>>,
    ) -> Result<T, QueryError> {
        match work::caught(call).await {
            Ok(Err(error)) => Err(self.tasks.panicked().map_or(error, QueryError::from)),
            Ok(outcome) => outcome,
            Err(panic) => Err(panic.into()),
        }
    }

    /// Closes it, whatever the store does, and waits until it is closed.
    pub async fn close(self) {
        self.tasks.end().await;
    }
}
