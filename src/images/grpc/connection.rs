//! The connection of one query.

#[cfg(test)]
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OnceCell, SetOnce};

use super::peer::Channel;
#[cfg(test)]
use super::{peer, target::Target};
use crate::{
    answer::QueryError,
    work::{self, Panic, Tasks},
};

/// The connection of one query, opened by its first call.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    pub(super) channel: OnceCell<Channel>,
    /// Set when a call has connected.
    pub(super) opened: SetOnce<()>,
    pub(super) tasks: Tasks,
}

impl Connection {
    /// Awaits a call. A panic in it, or in a task of the connection, becomes its error.
    pub(super) async fn guard<T>(
        &self,
        call: impl Future<Output = Result<T, QueryError>>,
    ) -> Result<T, QueryError> {
        match work::caught(call).await {
            Ok(Err(error)) => Err(self.tasks.panicked().map_or(error, panicked)),
            Ok(outcome) => outcome,
            Err(panic) => Err(panicked(panic)),
        }
    }

    /// Closes the connection, and waits until its tasks have ended.
    pub(crate) async fn close(self) {
        self.tasks.end().await;
    }
}

fn panicked(panic: Panic) -> QueryError {
    QueryError::Panicked(panic.to_string())
}

#[cfg(test)]
impl Connection {
    /// Opens the connection over this stream.
    pub(in crate::images) async fn over(
        &self,
        target: &Target,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<(), QueryError> {
        let endpoint = target.endpoint.clone().executor(self.tasks.executor());
        let channel = peer::greeted(&endpoint, &target.address, stream).await?;
        self.channel.set(channel).expect("it is the first");
        Ok(())
    }
}
