//! The Jaeger agent protocol: compact Thrift over UDP (jaeger.thrift, agent.thrift of jaeger-idl).
//!
//! The crate opentelemetry-jaeger ended with OpenTelemetry 0.23; it lives in this file alone, behind a conversion of today's
//! spans into those of its time. It does the Thrift; the socket is ours, because only its owner learns that nobody listens.

#![allow(deprecated, reason = "all of opentelemetry-jaeger is")]

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    sync::Arc,
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
use tokio::{net::UdpSocket, sync::Mutex};

mod convert;

/// Sends finished traces to a Jaeger agent; connects when the first one is there, and again after a failure to.
pub(super) struct JaegerExporter {
    host: String,
    port: u16,
    /// The socket to send by, where systemd passed one.
    passed: Option<std::net::UdpSocket>,
    resource: opentelemetry_sdk_0_23::Resource,
    agent: Mutex<Option<Exporter>>,
}

impl JaegerExporter {
    pub(super) fn new(host: &str, port: u16, passed: Option<std::net::UdpSocket>) -> Self {
        Self {
            host: host.to_owned(),
            port,
            passed,
            resource: opentelemetry_sdk_0_23::Resource::empty(),
            agent: Mutex::default(),
        }
    }

    async fn connect(&self) -> Result<Exporter, TraceError> {
        let pipeline = opentelemetry_jaeger::new_agent_pipeline()
            .with_endpoint(format!("{}:{}", self.host, self.port))
            .with_trace_config(Config::default().with_resource(self.resource.clone()))
            .with_auto_split_batch(true);
        let passed = self.passed.as_ref().map(std::net::UdpSocket::try_clone);
        let runtime = AgentSocket {
            passed: passed
                .transpose()
                .map_err(|error| TraceError::Other(error.into()))?
                .map(Arc::new),
        };
        let build = move || pipeline.build_async_agent_exporter(runtime);
        if is_address(&self.host) {
            return build();
        }
        // The pipeline looks names up, and blocks meanwhile.
        tokio::task::spawn_blocking(build)
            .await
            .unwrap_or_else(|error| Err(TraceError::Other(error.into())))
    }

    async fn send(&self, trace: Vec<SpanData>) -> Result<(), TraceError> {
        let mut agent = self.agent.lock().await;
        let mut exporter = match agent.take() {
            Some(exporter) => exporter,
            None => self.connect().await?,
        };
        let sent = exporter.export(convert::spans(trace)).await;
        // One that was given up, or has panicked, may hold half a datagram and is not used again.
        *agent = Some(exporter);
        sent
    }
}

/// What happened, without the name of the exporter before it.
fn words(error: &TraceError) -> String {
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
            OTelSdkError::InternalFailure(format!("{host}:{port}: {}", words(&error)))
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

/// What opentelemetry-jaeger asks of a runtime, of which it uses the socket only.
#[derive(Clone, Debug)]
struct AgentSocket {
    passed: Option<Arc<std::net::UdpSocket>>,
}

impl AgentSocket {
    fn unconnected(&self, agents: &[SocketAddr]) -> io::Result<std::net::UdpSocket> {
        if let Some(passed) = &self.passed {
            return passed.try_clone();
        }
        let any = match agents.first() {
            Some(SocketAddr::V6(_)) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
            _ => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        };
        std::net::UdpSocket::bind((any, 0))
    }
}

#[async_trait]
impl JaegerTraceRuntime for AgentSocket {
    type Socket = Arc<UdpSocket>;

    fn create_socket<T: ToSocketAddrs>(&self, agent: T) -> thrift::Result<Self::Socket> {
        let agents: Vec<SocketAddr> = agent.to_socket_addrs()?.collect();
        let socket = self.unconnected(&agents)?;
        socket.connect(agents.as_slice())?;
        socket.set_nonblocking(true)?;
        Ok(Arc::new(UdpSocket::from_std(socket)?))
    }

    /// A refusal (ICMP) is reported with the next call on the socket, and that call sends nothing. So one that comes from an
    /// earlier datagram is answered by sending again, and one for this datagram is looked for: on the loopback interface it
    /// is there at once.
    async fn write_to_socket(&self, socket: &Self::Socket, payload: Vec<u8>) -> thrift::Result<()> {
        if let Err(error) = socket.send(&payload).await {
            if error.kind() != io::ErrorKind::ConnectionRefused {
                return Err(error.into());
            }
            socket.send(&payload).await?;
        }
        match socket.take_error()? {
            Some(refused) => Err(refused.into()),
            None => Ok(()),
        }
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

/// The batch processor, which is not used, would have a channel.
#[derive(Debug)]
struct NoBatches<T>(std::marker::PhantomData<fn(T)>);

impl<T: fmt::Debug + Send> TrySend for NoBatches<T> {
    type Message = T;

    fn try_send(&self, _: T) -> Result<(), TrySendError> {
        Err(TrySendError::ChannelClosed)
    }
}
