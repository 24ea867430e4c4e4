//! A call beside the list of images, whose failure costs nothing but what it would have said.

use std::mem;

use crate::answer::QueryError;

/// One of a store's side calls, and whether it fails at present.
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

    /// What the call said, if it said anything.
    ///
    /// The first failure of a row is a warning and the end of the row an info line; a row can be as long as the service lives,
    /// so what lies between is for debugging. A call that we have abandoned is neither.
    pub(super) fn outcome<T>(&mut self, store: &str, outcome: Result<T, QueryError>) -> Option<T> {
        let call = self.method;
        let error = match outcome {
            Ok(said) => {
                if mem::take(&mut self.failing) {
                    tracing::info!({ imagestore.store = store, call }, "side call answered again");
                }
                return Some(said);
            }
            Err(QueryError::Abandoned) => return None,
            Err(error) => error,
        };
        if mem::replace(&mut self.failing, true) {
            tracing::debug!({ imagestore.store = store, call, code = error.code().name(), %error }, "side call failed again");
        } else {
            tracing::warn!({ imagestore.store = store, call, code = error.code().name(), %error }, "side call failed");
        }
        None
    }
}
