//! A list that newer runtimes stream, and older ones send in one message.

use std::mem;

use scan::{Received, Visitor};
use tonic::Status;

use crate::{
    answer::{Code, QueryError},
    images::grpc::{self, Calls, Channel, Context},
};

/// The two methods of a list, which the runtime serves without a filter.
#[derive(Debug)]
pub(super) struct Lists {
    streamed: &'static str,
    whole: &'static str,
    /// Explains the runtime's errors.
    explained: fn(Status) -> Status,
    /// Whether the runtime is known not to stream it.
    is_whole: bool,
}

impl Lists {
    pub(super) fn of(
        streamed: &'static str,
        whole: &'static str,
        explained: fn(Status) -> Status,
    ) -> Self {
        Self {
            streamed,
            whole,
            explained,
            is_whole: false,
        }
    }

    /// Forgets whether the runtime streams the list: there is another runtime.
    pub(super) fn forget(&mut self) {
        self.is_whole = false;
    }

    /// Passes the list to `visitor`, which is awaited when the answer begins, and then both to `ended`, in the span of the call.
    ///
    /// Streams the list if the runtime supports that. This is tried again after every failure: the list may have been too long for
    /// one message, or the runtime may have been replaced.
    pub(super) async fn scan<V: Visitor, T>(
        &mut self,
        calls: &Calls<'_>,
        visitor: impl AsyncFn() -> V,
        ended: impl Fn(V, Received) -> T,
    ) -> Result<T, QueryError> {
        if !mem::take(&mut self.is_whole) {
            let mut has_begun = false;
            let mut stream = async |channel: &mut Channel, context: Context| {
                let mut reply = grpc::ask(channel, self.streamed, &(), context).await?;
                let mut visitor = visitor().await;
                let scanned = reply.scan(&mut visitor).await;
                has_begun = reply.has_begun();
                Ok(ended(visitor, scanned?))
            };
            let explained = async |channel: &mut Channel, context: Context| {
                stream(channel, context).await.map_err(self.explained)
            };
            match calls.call(self.streamed, explained).await {
                Err(error) if error.code() == Code::UNIMPLEMENTED && !has_begun => {}
                outcome => return outcome,
            }
        }
        let list = async |channel: &mut Channel, context: Context| {
            let mut reply = grpc::ask(channel, self.whole, &(), context).await?;
            let mut visitor = visitor().await;
            let received = reply.scan(&mut visitor).await?;
            grpc::require_one_message(received.messages)?;
            Ok(ended(visitor, received))
        };
        let explained = async |channel: &mut Channel, context: Context| {
            list(channel, context).await.map_err(self.explained)
        };
        let listed = calls.call(self.whole, explained).await;
        self.is_whole = listed.is_ok();
        listed
    }
}
