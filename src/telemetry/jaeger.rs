//! The Jaeger agent protocol: compact Thrift over UDP (jaeger.thrift, agent.thrift of jaeger-idl).
//!
//! The crate opentelemetry-jaeger ended with OpenTelemetry 0.23. Only this module uses it, with spans that are converted to that
//! version. It encodes Thrift; the socket is ours, because only its owner can detect that no agent listens.

#![allow(deprecated, reason = "all of opentelemetry-jaeger is deprecated")]

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use opentelemetry_0_23::trace::TraceError;
use opentelemetry_jaeger::{Exporter, JaegerTraceRuntime};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{SpanData, SpanExporter},
};
use opentelemetry_sdk_0_23::{
    export::trace::SpanExporter as _,
    runtime::{Runtime, RuntimeChannel, TrySend, TrySendError},
    trace::Config,
};
use tokio::{
    net::UdpSocket,
    sync::Mutex,
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep, timeout},
};

mod convert;

/// How long an address is used before it is looked up again: if the agent has moved, datagrams to its old address may be lost
/// without an error.
const LOOKUP_VALIDITY: Duration = Duration::from_secs(60);

/// Longest time that a trace waits for a lookup while an earlier address is known.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(2);

/// A trace that does not fit one datagram is halved until its parts do: of two halves, at least one is larger than this, in bytes.
const LARGE_DATAGRAM: usize = 32_500;

/// The pause after a large datagram. By default the agent's socket holds three of them, and the kernel drops the next one without an
/// error until the agent has read one.
const PAUSE: Duration = Duration::from_millis(5);

/// Sends finished traces to a Jaeger agent. Looks it up and connects for the first trace, after a failure, and once the last lookup
/// is a minute old.
pub(super) struct JaegerExporter {
    host: String,
    port: u16,
    resource: opentelemetry_sdk_0_23::Resource,
    agent: Mutex<Agent>,
}

/// The state of the connection to the agent.
#[derive(Default)]
struct Agent {
    known: Option<Connected>,
    /// The running lookup. It cannot be cancelled, so a trace that times out leaves it to the next one.
    lookup: Option<Lookup>,
}

type Lookup = JoinHandle<Result<Connected, TraceError>>;

struct Connected {
    exporter: Exporter,
    looked_up: Instant,
}

impl JaegerExporter {
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
            resource: opentelemetry_sdk_0_23::Resource::empty(),
            agent: Mutex::default(),
        }
    }

    /// Looks up the agent and connects. The caller sets the limit.
    async fn connect(&self, lookup: &mut Option<Lookup>) -> Result<Connected, TraceError> {
        // A lookup that no trace waited for may have ended long ago.
        if lookup.as_ref().is_some_and(JoinHandle::is_finished) {
            *lookup = None;
        }
        let running = match lookup {
            Some(running) => running,
            None if is_address(&self.host) => return self.connector()(),
            // The pipeline blocks while it looks up the name.
            None => lookup.insert(spawn_blocking(self.connector())),
        };
        let connected = running.await;
        *lookup = None;
        connected.unwrap_or_else(|error| Err(TraceError::Other(error.into())))
    }

    fn connector(&self) -> impl FnOnce() -> Result<Connected, TraceError> + use<> {
        let pipeline = opentelemetry_jaeger::new_agent_pipeline()
            .with_endpoint(format!("{}:{}", self.host, self.port))
            .with_trace_config(Config::default().with_resource(self.resource.clone()))
            .with_auto_split_batch(true);
        move || {
            Ok(Connected {
                exporter: pipeline.build_async_agent_exporter(AgentSocket)?,
                looked_up: Instant::now(),
            })
        }
    }

    /// The known connection if it is recent, or if it cannot be renewed in time; otherwise a new one.
    async fn connected(&self, agent: &mut Agent) -> Result<Connected, TraceError> {
        let Some(known) = agent.known.take() else {
            return self.connect(&mut agent.lookup).await;
        };
        if known.looked_up.elapsed() < LOOKUP_VALIDITY {
            return Ok(known);
        }
        match timeout(RENEWAL_TIMEOUT, self.connect(&mut agent.lookup)).await {
            Ok(Ok(renewed)) => Ok(renewed),
            Ok(Err(error)) => {
                tracing::debug!(error = %error_text(&error), "agent not looked up again");
                Ok(known)
            }
            Err(_) => {
                tracing::debug!(limit = ?RENEWAL_TIMEOUT, "agent not looked up again");
                Ok(known)
            }
        }
    }

    async fn send(&self, trace: Vec<SpanData>) -> Result<(), TraceError> {
        let spans = convert::spans(trace);
        let mut agent = self.agent.lock().await;
        let is_first = agent.known.is_none();
        // An exporter that timed out, failed or panicked is not used again: it may hold half a datagram.
        let mut connected = self.connected(&mut agent).await?;
        let sent = connected.exporter.export(spans.clone()).await;
        if sent.is_err() && !is_first {
            // The refusal may be of an earlier datagram, and the agent may have moved.
            connected = self.connect(&mut agent.lookup).await?;
            connected.exporter.export(spans).await?;
        } else {
            sent?;
        }
        agent.known = Some(connected);
        Ok(())
    }
}

/// The error's text without the exporter's name.
fn error_text(error: &TraceError) -> String {
    match error {
        TraceError::ExportFailed(error) => error.to_string(),
        other => other.to_string(),
    }
}

fn is_address(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

impl SpanExporter for JaegerExporter {
    async fn export(&self, trace: Vec<SpanData>) -> OTelSdkResult {
        self.send(trace).await.map_err(|error| {
            let Self { host, port, .. } = self;
            OTelSdkError::InternalFailure(format!("{host}:{port}: {}", error_text(&error)))
        })
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = convert::resource(resource);
    }
}

impl fmt::Debug for JaegerExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JaegerExporter({}:{})", self.host, self.port)
    }
}

/// The runtime that opentelemetry-jaeger needs; it uses only the socket.
#[derive(Clone, Debug)]
struct AgentSocket;

#[async_trait]
impl JaegerTraceRuntime for AgentSocket {
    type Socket = Arc<UdpSocket>;

    fn create_socket<T: ToSocketAddrs>(&self, agent: T) -> thrift::Result<Self::Socket> {
        let agents: Vec<SocketAddr> = agent.to_socket_addrs()?.collect();
        let any = match agents.first() {
            Some(SocketAddr::V6(_)) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
            _ => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        };
        let socket = std::net::UdpSocket::bind((any, 0))?;
        socket.connect(agents.as_slice())?;
        socket.set_nonblocking(true)?;
        Ok(Arc::new(UdpSocket::from_std(socket)?))
    }

    /// A refusal (ICMP) fails the next call on the socket, which then sends nothing. So the socket's error is read after each
    /// datagram: on loopback a refusal arrives at once.
    async fn write_to_socket(&self, socket: &Self::Socket, payload: Vec<u8>) -> thrift::Result<()> {
        socket.send(&payload).await?;
        if let Some(refused) = socket.take_error()? {
            return Err(refused.into());
        }
        if payload.len() > LARGE_DATAGRAM {
            sleep(PAUSE).await;
        }
        Ok(())
    }
}

impl Runtime for AgentSocket {
    type Interval = futures_util::stream::Pending<()>;
    type Delay = std::future::Ready<()>;

    fn interval(&self, _: std::time::Duration) -> Self::Interval {
        futures_util::stream::pending()
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        tokio::spawn(future);
    }

    fn delay(&self, _: std::time::Duration) -> Self::Delay {
        std::future::ready(())
    }
}

impl RuntimeChannel for AgentSocket {
    type Receiver<T: fmt::Debug + Send> = futures_util::stream::Pending<T>;
    type Sender<T: fmt::Debug + Send> = NoBatches<T>;

    fn batch_message_channel<T: fmt::Debug + Send>(
        &self,
        _: usize,
    ) -> (Self::Sender<T>, Self::Receiver<T>) {
        (
            NoBatches(std::marker::PhantomData),
            futures_util::stream::pending(),
        )
    }
}

/// The channel of the batch processor, which is not used.
#[derive(Debug)]
struct NoBatches<T>(std::marker::PhantomData<fn(T)>);

impl<T: fmt::Debug + Send> TrySend for NoBatches<T> {
    type Message = T;

    fn try_send(&self, _: T) -> Result<(), TrySendError> {
        Err(TrySendError::ChannelClosed)
    }
}

#[cfg(test)]
mod tests;
