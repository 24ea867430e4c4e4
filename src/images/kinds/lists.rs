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
            let all = |visitor, received| Ok(ended(visitor, received));
            let streamed = self
                .ask(self.streamed, calls, &visitor, all, &mut has_begun)
                .await;
            match streamed {
                Err(error) if error.code() == Code::UNIMPLEMENTED && !has_begun => {}
                outcome => return outcome,
            }
        }
        let one = |visitor, received: Received| {
            grpc::require_one_message(received.messages)?;
            Ok(ended(visitor, received))
        };
        let listed = self.ask(self.whole, calls, &visitor, one, &mut false).await;
        self.is_whole = listed.is_ok();
        listed
    }

    /// Calls one of the two methods, and sets `has_begun` if data of the answer arrived.
    async fn ask<V: Visitor, T>(
        &self,
        method: &'static str,
        calls: &Calls<'_>,
        visitor: &impl AsyncFn() -> V,
        ended: impl Fn(V, Received) -> Result<T, Status>,
        has_begun: &mut bool,
    ) -> Result<T, QueryError> {
        let request = async |channel: &mut Channel, context: Context| {
            let asked = grpc::ask(channel, method, &(), context).await;
            let mut reply = asked.map_err(self.explained)?;
            let mut visitor = visitor().await;
            let scanned = reply.scan(&mut visitor).await;
            *has_begun = reply.has_begun();
            ended(visitor, scanned.map_err(self.explained)?)
        };
        calls.call(method, request).await
    }
}
