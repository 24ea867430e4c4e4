//! A call in addition to the list of images. Its failure does not fail the query.

use std::mem;

use tonic::Status;

use super::grpc::{Calls, Channel, Context};
use crate::answer::QueryError;

/// A side call of a store, and whether it failed last time.
#[derive(Debug)]
pub(super) struct SideCall {
    method: &'static str,
    failing: bool,
}

impl SideCall {
    pub(super) fn of(method: &'static str) -> Self {
        Self {
            method,
            failing: false,
        }
    }

    /// Makes the call; `None` when it fails.
    ///
    /// The first of several consecutive failures is logged as a warning, the others at debug, and the recovery at info. An abandoned call is not
    /// logged.
    pub(super) async fn call<T>(
        &mut self,
        calls: &Calls<'_>,
        request: impl AsyncFnOnce(&mut Channel, Context) -> Result<T, Status>,
    ) -> Option<T> {
        let (store, call) = (calls.store(), self.method);
        let error = match calls.call(call, request).await {
            Ok(answer) => {
                if mem::take(&mut self.failing) {
                    tracing::info!({ imagestore.store = store, call }, "side call answered again");
                }
                return Some(answer);
            }
            Err(QueryError::Abandoned) => return None,
            Err(error) => error,
        };
        let code = error.code().name();
        if mem::replace(&mut self.failing, true) {
            tracing::debug!({ imagestore.store = store, call, code, %error }, "side call failed again");
        } else {
            tracing::warn!({ imagestore.store = store, call, code, %error }, "side call failed");
        }
        None
    }
}
