//! OTLP over gRPC, see <https://opentelemetry.io/docs/specs/otlp/#otlpgrpc>.
//!
//! This is not the exporter of opentelemetry-otlp, which reports a trace that the collector rejects as delivered.

use std::{
    error::Error,
    fmt,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{TryFutureExt, future::MapOk};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, combinators::MapFrame};
use hyper::body::Frame;
use opentelemetry_proto::{
    tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest,
        trace_service_client::TraceServiceClient,
    },
    transform::{
        common::tonic::ResourceAttributesWithSchema,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{SpanData, SpanExporter},
};
use tokio::time::sleep;
use tonic::{
    Code, Status,
    body::Body,
    metadata::MetadataMap,
    transport::{self, Channel, Endpoint, channel::ResponseFuture},
};
use tower::Service;

use super::OtlpConfig;
use crate::{
    words::{counted, cut},
    work::Tasks,
};

/// Delays before the retries of a failure that may be temporary.
const RETRIES: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
];

/// Longest text of a collector that is logged, in bytes.
const MAX_MESSAGE: usize = 1024;

/// The port of OTLP over HTTP, which is easily confused with that of gRPC.
const HTTP_PORT: &str = ":4318";

/// Sends finished traces to a collector, each over its own connection: on a permanent one, requests that the collector does not
/// answer would pile up.
pub(super) struct OtlpExporter {
    address: String,
    endpoint: Endpoint,
    headers: HeaderMap,
    resource: ResourceAttributesWithSchema,
    /// The last warning that came with accepted spans; a repeated one is logged at debug.
    warned: Mutex<String>,
}

impl OtlpExporter {
    pub(super) fn new(config: &OtlpConfig) -> Self {
        Self {
            address: config.endpoint.clone(),
            endpoint: Endpoint::from_shared(config.endpoint.clone())
                .expect("the configuration takes endpoints from URIs"),
            headers: config.headers.clone(),
            resource: ResourceAttributesWithSchema::default(),
            warned: Mutex::default(),
        }
    }

    /// Retries failures that may be temporary.
    async fn send(
        &self,
        channel: Channel,
        request: ExportTraceServiceRequest,
    ) -> Result<(), String> {
        let client = TraceServiceClient::new(WithoutDetails(channel));
        let mut outcome = self.attempt(client.clone(), request.clone()).await;
        for delay in RETRIES {
            match &outcome {
                Err(status) if is_retryable(status.code()) => sleep(delay).await,
                _ => break,
            }
            outcome = self.attempt(client.clone(), request.clone()).await;
        }
        match outcome {
            Ok(Some(partial)) => self.judge(&partial),
            Ok(None) => Ok(()),
            Err(status) => Err(error_text(&status)),
        }
    }

    async fn attempt(
        &self,
        mut client: TraceServiceClient<WithoutDetails>,
        request: ExportTraceServiceRequest,
    ) -> Result<Option<ExportTracePartialSuccess>, Status> {
        let mut request = tonic::Request::new(request);
        *request.metadata_mut() = MetadataMap::from_headers(self.headers.clone());
        let answer = client.export(request).await?;
        Ok(answer.into_inner().partial_success)
    }

    /// An OK answer can still reject spans or carry a warning.
    fn judge(&self, partial: &ExportTracePartialSuccess) -> Result<(), String> {
        let warning = cut(&partial.error_message, MAX_MESSAGE);
        if partial.rejected_spans > 0 {
            let rejected = counted(partial.rejected_spans.unsigned_abs(), "span");
            return Err(format!("the collector rejected {rejected}: {warning}"));
        }
        if !warning.is_empty() {
            let mut last = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
            if *last == warning {
                tracing::debug!(
                    endpoint = self.address,
                    warning,
                    "trace exported with a warning"
                );
            } else {
                tracing::warn!(
                    endpoint = self.address,
                    warning,
                    "trace exported with a warning"
                );
                *last = warning;
            }
        }
        Ok(())
    }

    fn failure(&self, why: &str) -> OTelSdkError {
        let hint = if self.address.ends_with(HTTP_PORT) {
            "; 4318 is the port of OTLP over HTTP, that of OTLP over gRPC is 4317"
        } else {
            ""
        };
        OTelSdkError::InternalFailure(format!("{}: {why}{hint}", self.address))
    }
}

impl SpanExporter for OtlpExporter {
    async fn export(&self, trace: Vec<SpanData>) -> OTelSdkResult {
        let resource_spans = group_spans_by_resource_and_scope(trace, &self.resource);
        let request = ExportTraceServiceRequest { resource_spans };
        // Dropping this future at its timeout also ends the connection's tasks.
        let tasks = Tasks::default();
        let endpoint = self.endpoint.clone().executor(tasks.executor());
        let sent = self.send(endpoint.connect_lazy(), request).await;
        tasks.end().await;
        sent.map_err(|why| self.failure(&why))
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

impl fmt::Debug for OtlpExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OtlpExporter({})", self.address)
    }
}

/// Whether the protocol calls the code retryable. RESOURCE_EXHAUSTED is retryable only with status details, which are not read.
fn is_retryable(code: Code) -> bool {
    matches!(
        code,
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// The causes of a local failure, or the code and message of the collector.
fn error_text(status: &Status) -> String {
    let text = match status.source() {
        Some(source) => causes(source),
        None => format!("{:?}: {}", status.code(), status.message()),
    };
    cut(&text, MAX_MESSAGE)
}

fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    text
}

/// Removes `grpc-status-details-bin` from answers: nothing here reads it, and tonic panics if it is malformed.
#[derive(Clone, Debug)]
struct WithoutDetails(Channel);

type Stripped = MapFrame<Body, fn(Frame<Bytes>) -> Frame<Bytes>>;

impl Service<Request<Body>> for WithoutDetails {
    type Response = Response<Stripped>;
    type Error = transport::Error;
    type Future = MapOk<ResponseFuture, fn(Response<Body>) -> Response<Stripped>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.call(request).map_ok(strip)
    }
}

fn strip(mut response: Response<Body>) -> Response<Stripped> {
    remove_details(response.headers_mut());
    response.map(|body| body.map_frame(strip_trailers as fn(Frame<Bytes>) -> Frame<Bytes>))
}

fn strip_trailers(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        remove_details(trailers);
    }
    frame
}

fn remove_details(headers: &mut HeaderMap) {
    const DETAILS: &str = "grpc-status-details-bin";
    headers.remove(DETAILS);
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use hyper::body::Frame;

    use super::strip_trailers;

    #[test]
    fn only_the_details_of_a_status_are_removed_from_trailers() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status-details-bin", HeaderValue::from_static("!"));
        trailers.insert("grpc-status", HeaderValue::from_static("7"));
        let stripped = strip_trailers(Frame::trailers(trailers));
        let left = stripped.into_trailers().expect("they are trailers still");
        assert_eq!(left.keys().collect::<Vec<_>>(), ["grpc-status"]);
    }
}
