//! An image store: what it is asked, what it answers, how it can fail.
//!
//! Every query connects afresh: it costs less than a millisecond, and an idle connection would have to be kept alive.

use std::{collections::HashMap, future::Future, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use thiserror::Error;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use tracing::{Instrument, Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::config::{StoreAddress, StoreConfig, StoreKind};

pub mod wire;

mod rkt;

/// What a query may spend on telling who the runtime is, once the images are counted.
const IDENTITY_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest text of a store's error that is kept, in bytes.
const MAX_MESSAGE: usize = 1024;

/// One configured image store.
#[derive(Clone, Debug)]
pub struct ImageStore {
    name: String,
    kind: StoreKind,
    address: StoreAddress,
    endpoint: Endpoint,
}

/// What a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Number of images.
    pub images: u64,
    /// Sum of their sizes in bytes.
    pub size_bytes: u64,
    /// Import of the oldest image, in seconds since the epoch; `None` without images.
    pub oldest_seconds: Option<i64>,
    /// Import of the newest image, in seconds since the epoch; `None` without images.
    pub newest_seconds: Option<i64>,
    /// Length of the list on the wire in bytes.
    pub response_bytes: u64,
    /// From connecting to the last byte of the list.
    pub duration: Duration,
    /// Who answered; `None` when the store would not say.
    pub runtime: Option<Runtime>,
}

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// For example `rkt`.
    pub name: &'static str,
    /// Empty where the runtime tells none.
    pub version: String,
    /// Version of the API it serves.
    pub api_version: String,
}

/// When a query is given up.
#[derive(Clone, Debug)]
pub struct Limit {
    /// The end of the whole query, from connecting to the last byte.
    pub deadline: Instant,
    /// Cancelled when the query is abandoned because the service stops.
    pub abandoned: CancellationToken,
}

/// Why a query has no answer.
#[derive(Debug, Error)]
pub enum QueryError {
    /// No connection, with the innermost cause: the layers above it say less.
    #[error("cannot connect to {address}: {cause}")]
    Connect {
        /// Where the store was expected.
        address: String,
        /// What connect(2) said.
        cause: String,
    },
    /// The whole answer was not there in time.
    #[error("no complete answer within {0:?}")]
    Deadline(Duration),
    /// The service stops.
    #[error("given up because the service is stopping")]
    Abandoned,
    /// The call ended with an error: the store's own, or one that describes a broken answer.
    #[error("{code}: {message}", code = code_name(*code))]
    Call {
        /// The gRPC status code.
        code: Code,
        /// In the store's words, cut to 1 KiB.
        message: String,
    },
}

/// The names of all gRPC status codes but OK, as <https://grpc.github.io/grpc/core/md_doc_statuscodes.html> spells them.
pub fn error_codes() -> impl Iterator<Item = &'static str> {
    (1..=16).map(|code| code_name(Code::from_i32(code)))
}

impl QueryError {
    /// The kind of failure: the name of a gRPC status code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        code_name(match self {
            Self::Connect { .. } => Code::Unavailable,
            Self::Deadline(_) => Code::DeadlineExceeded,
            Self::Abandoned => Code::Cancelled,
            Self::Call { code, .. } => *code,
        })
    }
}

impl From<Status> for QueryError {
    fn from(status: Status) -> Self {
        let message = status.message();
        Self::Call {
            code: status.code(),
            message: message[..message.floor_char_boundary(MAX_MESSAGE)].to_owned(),
        }
    }
}

impl Limit {
    /// Awaits `work` until the deadline or until the query is abandoned.
    async fn hold<T>(
        &self,
        work: impl Future<Output = Result<T, QueryError>>,
    ) -> Result<T, QueryError> {
        let granted = self.remaining();
        // In this order: tonic and the store learn the deadline too, and what ends because of it is not to hide it.
        tokio::select! {
            biased;
            () = self.abandoned.cancelled() => Err(QueryError::Abandoned),
            () = tokio::time::sleep_until(self.deadline) => Err(QueryError::Deadline(granted)),
            outcome = work => outcome,
        }
    }

    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn at_most(&self, timeout: Duration) -> Self {
        Self {
            deadline: self.deadline.min(Instant::now() + timeout),
            abandoned: self.abandoned.clone(),
        }
    }
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
            address: config.address.clone(),
            endpoint: endpoint.user_agent(concat!("exp-rkt-grpc/", env!("CARGO_PKG_VERSION")))?,
        })
    }

    /// The configured name; the label `store` of every metric.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Connects, lists the images, and asks who the runtime is.
    ///
    /// A runtime that does not say who it is still has its images counted.
    ///
    /// # Errors
    ///
    /// When there is no connection, no complete answer within `limit`, or an error in its place.
    pub async fn query(&self, limit: &Limit) -> Result<Answer, QueryError> {
        let (mut channel, mut answer) = self.list(limit).await?;
        match self
            .identify(&mut channel, &limit.at_most(IDENTITY_TIMEOUT))
            .await
        {
            Ok(runtime) => answer.runtime = Some(runtime),
            Err(error) => tracing::debug!(
                "imagestore.store" = self.name,
                %error,
                "runtime not identified"
            ),
        }
        Ok(answer)
    }

    async fn list(&self, limit: &Limit) -> Result<(Channel, Answer), QueryError> {
        let span = self.client_span(match self.kind {
            StoreKind::Rkt => rkt::LIST_IMAGES,
        });
        let began = Instant::now();
        let work = async {
            let mut channel = self.connect().await?;
            let listed = match self.kind {
                StoreKind::Rkt => {
                    rkt::list_images(&mut channel, propagated(&span), limit.remaining()).await?
                }
            };
            let mut answer = Answer::from(listed);
            answer.duration = began.elapsed();
            Ok((channel, answer))
        };
        let outcome = limit.hold(work).instrument(span.clone()).await;
        record(&span, outcome.as_ref().err());
        if let Ok((_, answer)) = &outcome {
            span.record("imagestore.images", answer.images.cast_signed());
        }
        outcome
    }

    async fn identify(&self, channel: &mut Channel, limit: &Limit) -> Result<Runtime, QueryError> {
        let span = self.client_span(match self.kind {
            StoreKind::Rkt => rkt::GET_INFO,
        });
        let work = async {
            match self.kind {
                StoreKind::Rkt => rkt::info(channel, propagated(&span), limit.remaining())
                    .await
                    .map(Runtime::from)
                    .map_err(QueryError::from),
            }
        };
        let outcome = limit.hold(work).instrument(span.clone()).await;
        record(&span, outcome.as_ref().err());
        outcome
    }

    async fn connect(&self) -> Result<Channel, QueryError> {
        let span = tracing::info_span!(
            "connect",
            "otel.status_code" = Empty,
            "otel.status_description" = Empty,
            "error.type" = Empty,
            "server.address" = self.address.host(),
            "server.port" = self.address.port(),
        );
        let outcome = self
            .endpoint
            .connect()
            .instrument(span.clone())
            .await
            .map_err(|error| QueryError::Connect {
                address: self.address.to_string(),
                cause: wire::innermost(&error),
            });
        if let Err(error) = &outcome {
            mark_failed(&span, error);
        }
        outcome
    }

    /// Attributes after the OpenTelemetry semantic conventions for RPC, version 1.39.
    fn client_span(&self, method: &'static str) -> Span {
        tracing::info_span!(
            "rpc",
            "otel.name" = method,
            "otel.kind" = "client",
            "otel.status_code" = Empty,
            "otel.status_description" = Empty,
            "rpc.system.name" = "grpc",
            "rpc.method" = method,
            "rpc.response.status_code" = Empty,
            "server.address" = self.address.host(),
            "server.port" = self.address.port(),
            "error.type" = Empty,
            "imagestore.store" = self.name,
            "imagestore.images" = Empty,
        )
    }
}

impl From<rkt::Listed> for Answer {
    fn from(listed: rkt::Listed) -> Self {
        Self {
            images: listed.images,
            size_bytes: listed.size_bytes,
            oldest_seconds: listed.oldest_seconds,
            newest_seconds: listed.newest_seconds,
            response_bytes: listed.response_bytes,
            duration: Duration::ZERO,
            runtime: None,
        }
    }
}

impl From<rkt::Info> for Runtime {
    fn from(info: rkt::Info) -> Self {
        Self {
            name: "rkt",
            version: info.version,
            api_version: info.api_version,
        }
    }
}

fn record(span: &Span, error: Option<&QueryError>) {
    span.record(
        "rpc.response.status_code",
        error.map_or("OK", QueryError::code),
    );
    if let Some(error) = error {
        mark_failed(span, error);
    }
}

fn mark_failed(span: &Span, error: &QueryError) {
    span.record("error.type", error.code());
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_description", error.to_string());
}

/// The span's W3C trace context (<https://www.w3.org/TR/trace-context/>), so that the store's own spans join the trace.
fn propagated(span: &Span) -> HeaderMap {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&span.context(), &mut carrier);
    carrier
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, value)| {
            Some((
                HeaderName::try_from(name).ok()?,
                HeaderValue::try_from(value).ok()?,
            ))
        })
        .collect()
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
