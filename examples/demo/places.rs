//! The addresses of all components: the well-known ports if they are free, so that the output matches the README.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use lab::jaeger_agent::JaegerAgent;
use lab::rkt_api_service::{Images, StandIn};
use lab::service::ReservedPort;

use crate::{Break, Step};

/// The default address of the service's metrics.
pub(super) const METRICS: SocketAddr = loopback(33333);
/// The address of rkt's api-service, and the service's default store.
pub(super) const STORE: SocketAddr = loopback(15441);
/// The address at which a Jaeger agent receives compact Thrift over UDP, and the service's default.
pub(super) const AGENT: SocketAddr = loopback(6831);

pub(super) const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// A stand-in that serves these images.
pub(super) fn stand_in(images: &Images) -> Step<StandIn> {
    StandIn::tcp_at(STORE, images.clone())
        .or_else(|_taken| StandIn::tcp_at(loopback(0), images.clone()))
        .map_err(Break::because("127.0.0.1 has no free port"))
}

/// A receiver in place of a Jaeger agent.
pub(super) fn agent() -> Step<JaegerAgent> {
    JaegerAgent::bind_at(AGENT)
        .or_else(|_taken| JaegerAgent::bind_at(loopback(0)))
        .map_err(Break::because("127.0.0.1 has no free port"))
}

/// The port of the service's metrics.
#[derive(Debug)]
pub(super) enum MetricsPort {
    WellKnown,
    /// A port that no other program gets.
    Free(ReservedPort),
}

impl MetricsPort {
    pub(super) fn choose() -> Self {
        match TcpListener::bind(METRICS) {
            Ok(_free) => Self::WellKnown,
            Err(_taken) => Self::Free(ReservedPort::reserve()),
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Self::WellKnown => METRICS,
            Self::Free(port) => port.address(),
        }
    }
}

/// The address, and a note if the usual port is taken.
pub(super) fn described(address: SocketAddr, usual: SocketAddr) -> String {
    if address == usual {
        return address.to_string();
    }
    format!("{address} ({} is taken)", usual.port())
}
