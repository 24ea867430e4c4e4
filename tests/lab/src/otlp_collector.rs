//! An OTLP/gRPC collector for traces, over the official `trace_service.proto`.
//!
//! It records every request with the metadata of its call, and can fail on command.

use std::mem;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};

/// A running collector on a port of 127.0.0.1; dropping it stops it.
#[derive(Debug)]
pub struct OtlpCollector {
    address: SocketAddr,
    behaviour: Arc<Mutex<Behaviour>>,
    calls: Mutex<Receiver<Call>>,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

/// How the collector answers calls. It records the requests in any case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// Accepts the spans.
    #[default]
    Answer,
    /// Answers with status OK and this partial success.
    Partial {
        /// The number of rejected spans.
        rejected_spans: i64,
        /// The reason, or a warning.
        error_message: String,
    },
    /// Never answers.
    Hang,
    /// Answers the next call with this status, and accepts the spans of later calls.
    FailOnce {
        /// The gRPC code.
        code: Code,
        /// Its message.
        message: String,
    },
    /// Answers with a status whose details are this text instead of base64.
    BreakDetails(String),
    /// Answers with this status.
    Fail {
        /// The gRPC code.
        code: Code,
        /// Its message.
        message: String,
    },
}

/// One export call.
#[derive(Debug, Clone)]
pub struct Call {
    /// The gRPC metadata: the HTTP headers.
    pub metadata: MetadataMap,
    /// The spans.
    pub request: ExportTraceServiceRequest,
}

impl OtlpCollector {
    /// A collector on a free port that accepts spans.
    pub fn bind() -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
        listener
            .set_nonblocking(true)
            .expect("a socket can be made non-blocking");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let behaviour = Arc::<Mutex<Behaviour>>::default();
        let (sender, calls) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let service = Service {
            behaviour: Arc::clone(&behaviour),
            calls: sender,
        };
        let server = thread::Builder::new()
            .name("otlp-collector".to_owned())
            .spawn(move || serve(listener, service, stopped))
            .expect("a thread can be started");
        let (stop, server) = (Some(stop), Some(server));
        Self {
            address,
            behaviour,
            calls: Mutex::new(calls),
            stop,
            server,
        }
    }

    /// The address that the collector listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The value for `OTEL_EXPORTER_OTLP_ENDPOINT`: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers calls like this from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        *self
            .behaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    /// The next export call with its metadata; `None` if none arrives in time.
    pub fn next_call(&self, within: Duration) -> Option<Call> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.recv_timeout(within).ok()
    }

    /// The request of the next export call; `None` if none arrives in time.
    pub fn next_request(&self, within: Duration) -> Option<ExportTraceServiceRequest> {
        self.next_call(within).map(|call| call.request)
    }
}

impl Drop for OtlpCollector {
    /// Stops at once: hanging calls and open connections end with the runtime.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(server) = self.server.take() {
            // A panic of the server is ignored: it has been printed already, and the test may be unwinding.
            drop(server.join());
        }
    }
}

/// All spans of a request, in its order.
pub fn spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let resources = request.resource_spans.into_iter();
    let scopes = resources.flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

struct Service {
    behaviour: Arc<Mutex<Behaviour>>,
    calls: Sender<Call>,
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let behaviour = {
            let mut behaviour = self
                .behaviour
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match *behaviour {
                Behaviour::FailOnce { .. } => mem::take(&mut *behaviour),
                _ => behaviour.clone(),
            }
        };
        // The receiver is gone while the collector is being dropped.
        drop(self.calls.send(Call { metadata, request }));
        match behaviour {
            Behaviour::Answer => Ok(Response::new(ExportTraceServiceResponse::default())),
            Behaviour::Partial {
                rejected_spans,
                error_message,
            } => Ok(Response::new(ExportTraceServiceResponse {
                partial_success: Some(ExportTracePartialSuccess {
                    rejected_spans,
                    error_message,
                }),
            })),
            Behaviour::Hang => std::future::pending().await,
            Behaviour::BreakDetails(details) => Err(broken_details(&details)),
            Behaviour::Fail { code, message } | Behaviour::FailOnce { code, message } => {
                Err(Status::new(code, message))
            }
        }
    }
}

fn broken_details(details: &str) -> Status {
    let mut headers = http::HeaderMap::new();
    let details = http::HeaderValue::from_str(details).expect("the details are a header value");
    headers.insert("grpc-status-details-bin", details);
    Status::with_metadata(
        Code::PermissionDenied,
        "no",
        MetadataMap::from_headers(headers),
    )
}

/// Serves until the sender of `stopped` is dropped.
fn serve(listener: TcpListener, service: Service, stopped: oneshot::Receiver<()>) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime needs a few file descriptors");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener);
        let incoming = TcpListenerStream::new(listener.expect("the listener is non-blocking"));
        let server = Server::builder().add_service(TraceServiceServer::new(service));
        tokio::select! {
            served = server.serve_with_incoming(incoming) => served.expect("the server runs"),
            _ = stopped => {}
        }
    });
}
