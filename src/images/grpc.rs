//! The transport: calls a store's methods over gRPC, and explains why a call fails. Nothing else in `images` uses tonic's channel.

use futures_util::future::LocalBoxFuture;
use http::{HeaderName, HeaderValue};
use tonic::Status;
use tracing::Instrument;

use crate::answer::{Code, QueryError};

mod call;
mod connect_error;
mod connection;
mod limit;
mod lost;
mod peer;
mod reply;
mod shortage;
mod spans;
mod status;
mod target;

pub(super) use call::{Context, ask, require_one_message, unary};
pub(crate) use connection::Connection;
pub(crate) use limit::Limit;
pub(super) use peer::Channel;
use spans::Ending;
pub(super) use spans::record;
pub(super) use target::Target;

/// Sends the request of a call, and keeps the answer.
type Request<'a> = Box<dyn FnOnce(Channel, Context) -> LocalBoxFuture<'a, Result<(), Status>> + 'a>;

/// The calls of one query to one store. The first one connects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calls<'a> {
    store: &'a str,
    target: &'a Target,
    limit: &'a Limit,
    connection: &'a Connection,
    metadata: Option<(&'static str, &'a HeaderValue)>,
}

impl<'a> Calls<'a> {
    pub(super) fn new(
        store: &'a str,
        target: &'a Target,
        limit: &'a Limit,
        connection: &'a Connection,
    ) -> Self {
        Self {
            store,
            target,
            limit,
            connection,
            metadata: None,
        }
    }

    /// The same calls with this metadata.
    pub(super) fn with(self, name: &'static str, value: &'a HeaderValue) -> Self {
        let metadata = Some((name, value));
        Self { metadata, ..self }
    }

    /// The same calls over another connection, within another limit.
    pub(super) fn over(self, connection: &'a Connection, limit: &'a Limit) -> Self {
        Self {
            connection,
            limit,
            ..self
        }
    }

    pub(super) fn limit(&self) -> &'a Limit {
        self.limit
    }

    /// Waits until one of the calls has connected.
    pub(super) async fn connected(&self) {
        self.connection.opened.wait().await;
    }

    /// The store's name.
    pub(super) fn store(&self) -> &'a str {
        self.store
    }

    /// Makes one call in its own client span.
    ///
    /// A panic becomes the error of the call. The store's state is consistent then: it changes only between calls.
    pub(super) async fn call<T>(
        &self,
        method: &'static str,
        request: impl AsyncFnOnce(&mut Channel, Context) -> Result<T, Status>,
    ) -> Result<T, QueryError> {
        let mut answer = None;
        let kept = &mut answer;
        let request = |mut channel, context| -> LocalBoxFuture<'_, Result<(), Status>> {
            Box::pin(async move {
                *kept = Some(request(&mut channel, context).await?);
                Ok(())
            })
        };
        // On the heap: it is large, and its callers' futures contain it several times.
        Box::pin(self.make(method, Box::new(request))).await?;
        Ok(answer.expect("a call that succeeds has an answer"))
    }

    /// Makes a call of any type: one function, which would take 12 kB of the program for each type.
    async fn make<'r>(&self, method: &'static str, request: Request<'r>) -> Result<(), QueryError> {
        let span = spans::call(method, self.store, &self.target.address);
        let work = async {
            let connect = || self.connect();
            let channel = &self.connection.channel;
            let channel = channel.get_or_try_init(connect).await?.clone();
            // Fails if this is not the first call.
            let _ = self.connection.opened.set(());
            let mut metadata = spans::propagated(&span);
            metadata.extend(
                self.metadata
                    .map(|(name, value)| (HeaderName::from_static(name), value.clone())),
            );
            let context = Context {
                metadata,
                timeout: self.limit.remaining(),
            };
            let answer = async { Ok(request(channel, context).await?) };
            self.limit.hold(answer).await
        };
        let mut ending = Ending::of(&span);
        let outcome = self.connection.guard(work.instrument(span.clone())).await;
        ending.code = outcome.as_ref().err().map_or(Code::OK, QueryError::code);
        if let Err(error) = &outcome {
            spans::mark_failed(&span, error);
        }
        outcome
    }

    async fn connect(&self) -> Result<Channel, QueryError> {
        let span = spans::connect(&self.target.address);
        let outcome = peer::connect(self.target, self.limit, &self.connection.tasks)
            .instrument(span.clone())
            .await;
        if let Err(error) = &outcome {
            spans::mark_failed(&span, error);
        }
        outcome
    }
}
