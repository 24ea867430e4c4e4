//! An image store: what it is asked, what it answers, how it can fail.
//!
//! Every query connects afresh: it costs less than a millisecond, and an idle connection would have to be kept alive.

use std::time::Duration;

use http::Uri;
use tokio::time::Instant;
use tonic::{Code, Status, transport::Endpoint};
use tracing::Instrument;

use crate::{
    config::{StoreAddress, StoreConfig, StoreKind},
    work::Tasks,
};

pub mod contents;
pub mod wire;

mod connection;
mod cri;
mod error;
mod limit;
mod peer;
mod rkt;
mod runtime;
mod side_call;
mod spans;
mod target;

pub use connection::Connection;
pub use contents::Contents;
pub use cri::Filesystem;
pub use error::{Phase, QueryError, Shortage, error_codes};
pub use limit::Limit;
pub use runtime::Runtime;

use peer::Channel;
use side_call::SideCall;
use target::Target;
use wire::Context;

/// What a query may spend on the side calls, once the images are counted.
const SIDE_CALLS_TIMEOUT: Duration = Duration::from_secs(2);

/// One configured image store.
#[derive(Debug)]
pub struct ImageStore {
    name: String,
    kind: StoreKind,
    target: Target,
    endpoint: Endpoint,
    /// Who answered last.
    runtime: Option<Runtime>,
    /// Whether that runtime streams its list; to be found out anew when it is not the same any more, or its list fails.
    streams: bool,
    identity: SideCall,
    filesystems: SideCall,
}

/// What a store answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its images, added up.
    pub contents: Contents,
    /// Length of the list on the wire in bytes, gRPC's framing included.
    pub response_bytes: u64,
    /// From connecting to the last byte of the list.
    pub duration: Duration,
    /// Who answered; `None` until the store has said so, and when it does not.
    pub runtime: Option<Runtime>,
    /// The file systems that hold its images; `None` until the store has said so, and when it does not.
    pub filesystems: Option<Vec<Filesystem>>,
}

impl ImageStore {
    /// A store as configured; nothing is connected yet.
    ///
    /// # Errors
    ///
    /// When tonic does not accept the address, which the configuration has checked.
    pub fn new(config: &StoreConfig) -> Result<Self, tonic::transport::Error> {
        let endpoint = match &config.address {
            StoreAddress::Tcp { host, port } => {
                Endpoint::from_shared(format!("http://{host}:{port}"))?
            }
            // Without an origin of its own, `:authority` would be made from the socket's path.
            StoreAddress::Unix(path) => Endpoint::from_shared(format!("unix://{path}"))?
                .origin(Uri::from_static("http://localhost")),
        };
        Ok(Self {
            name: config.name.clone(),
            kind: config.kind,
            target: Target::configured(config.address.clone()),
            endpoint: endpoint
                .initial_stream_window_size(peer::WINDOW)
                .initial_connection_window_size(peer::WINDOW)
                .http2_max_header_list_size(peer::MAX_HEADERS)
                .user_agent(concat!("exp-rkt-grpc/", env!("CARGO_PKG_VERSION")))?,
            runtime: None,
            streams: true,
            identity: SideCall::of(match config.kind {
                StoreKind::Rkt => rkt::GET_INFO,
                StoreKind::Cri => cri::VERSION,
            }),
            filesystems: SideCall::of(cri::IMAGE_FS_INFO),
        })
    }

    /// The same store, which is asked because no other one is configured: errors say how one would be.
    #[must_use]
    pub fn named_by_nobody(self) -> Self {
        Self {
            target: self.target.named_by_nobody(),
            ..self
        }
    }

    /// The configured name; the label `store` of every metric.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Kind and address, which say whose numbers they are, as in `cri+unix:///run/containerd/containerd.sock`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}+{}", self.kind, self.target.address)
    }

    /// Connects and lists the images.
    ///
    /// # Errors
    ///
    /// When there is no connection, no complete list within `limit`, or an error in its place.
    pub async fn count(
        &mut self,
        limit: &Limit,
        connection: &Connection,
    ) -> Result<Answer, QueryError> {
        let began = Instant::now();
        let (contents, response_bytes) = self.list(limit, connection).await?;
        Ok(Answer {
            contents,
            response_bytes,
            duration: began.elapsed(),
            runtime: None,
            filesystems: None,
        })
    }

    /// Asks who the runtime is and what its file systems hold, for two seconds at most, and adds that to its answer.
    ///
    /// A runtime that lacks one of these calls, or fails it, has its images counted all the same.
    pub async fn describe(
        &mut self,
        limit: &Limit,
        connection: &Connection,
        mut answer: Answer,
    ) -> Answer {
        let limit = limit.at_most(SIDE_CALLS_TIMEOUT);
        let (runtime, filesystems) = tokio::join!(
            self.ask_identity(&limit, connection),
            self.ask_filesystems(&limit, connection)
        );
        answer.runtime = self.identity.said(&self.name, runtime);
        answer.filesystems = self.filesystems.said(&self.name, filesystems).flatten();
        if let Some(runtime) = &answer.runtime {
            self.remember(runtime);
        }
        answer
    }

    async fn list(
        &mut self,
        limit: &Limit,
        connection: &Connection,
    ) -> Result<(Contents, u64), QueryError> {
        match self.kind {
            StoreKind::Rkt => {
                self.call(rkt::LIST_IMAGES, limit, connection, rkt::list_images)
                    .await
            }
            StoreKind::Cri => self.list_of_runtime(limit, connection).await,
        }
    }

    /// Streamed where the runtime can do so. Whether it can is found out again after every failure: it may have been one of
    /// the size of the list, or of a runtime that is being replaced.
    async fn list_of_runtime(
        &mut self,
        limit: &Limit,
        connection: &Connection,
    ) -> Result<(Contents, u64), QueryError> {
        if std::mem::replace(&mut self.streams, true) {
            let mut begun = false;
            let streamed = self
                .call(
                    cri::STREAM_IMAGES,
                    limit,
                    connection,
                    async |channel, context| cri::stream_images(channel, context, &mut begun).await,
                )
                .await;
            match streamed {
                Err(error) if error.grpc_code() == Code::Unimplemented && !begun => {}
                outcome => return outcome,
            }
        }
        let listed = self
            .call(cri::LIST_IMAGES, limit, connection, cri::list_images)
            .await;
        self.streams = listed.is_err();
        listed
    }

    async fn ask_identity(
        &self,
        limit: &Limit,
        connection: &Connection,
    ) -> Result<Runtime, QueryError> {
        match self.kind {
            StoreKind::Rkt => self
                .call(rkt::GET_INFO, limit, connection, rkt::info)
                .await
                .map(Runtime::from),
            StoreKind::Cri => self
                .call(cri::VERSION, limit, connection, cri::version)
                .await
                .map(Runtime::from),
        }
    }

    /// `None` for a kind of store that knows no file systems.
    async fn ask_filesystems(
        &self,
        limit: &Limit,
        connection: &Connection,
    ) -> Result<Option<Vec<Filesystem>>, QueryError> {
        match self.kind {
            StoreKind::Rkt => Ok(None),
            StoreKind::Cri => self
                .call(cri::IMAGE_FS_INFO, limit, connection, cri::image_fs_info)
                .await
                .map(Some),
        }
    }

    /// One call in a client span of its own; the first one of a query connects.
    ///
    /// A panic is an error of this call. What is known of the store is whole then: it changes between calls, by their outcomes.
    async fn call<T>(
        &self,
        method: &'static str,
        limit: &Limit,
        connection: &Connection,
        ask: impl AsyncFnOnce(&mut Channel, Context) -> Result<T, Status>,
    ) -> Result<T, QueryError> {
        let span = spans::call(method, &self.name, &self.target.address);
        let work = async {
            let connect = || self.connect(limit, &connection.tasks);
            let mut channel = connection.channel.get_or_try_init(connect).await?.clone();
            let context = Context {
                metadata: spans::propagated(&span),
                timeout: limit.remaining(),
            };
            limit
                .hold(async { Ok(ask(&mut channel, context).await?) })
                .await
        };
        let outcome = connection.guard(work.instrument(span.clone())).await;
        let code = outcome.as_ref().err().map_or("OK", QueryError::code);
        span.record("rpc.response.status_code", code);
        if let Err(error) = &outcome {
            spans::mark_failed(&span, error);
        }
        outcome
    }

    async fn connect(&self, limit: &Limit, tasks: &Tasks) -> Result<Channel, QueryError> {
        let span = spans::connect(&self.target.address);
        let outcome = peer::connect(&self.endpoint, &self.target, limit, tasks)
            .instrument(span.clone())
            .await;
        if let Err(error) = &outcome {
            spans::mark_failed(&span, error);
        }
        outcome
    }

    /// A runtime that has been replaced may stream what its predecessor could not.
    fn remember(&mut self, runtime: &Runtime) {
        let replaced = self.runtime.as_ref().is_some_and(|known| known != runtime);
        self.streams |= replaced;
        self.runtime = Some(runtime.clone());
    }
}

#[cfg(test)]
mod tests;
