//! Where everything listens: the well-known ports when they are free, so that what is shown is what the README says.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use lab::jaeger_agent::JaegerAgent;
use lab::rkt_api_service::{Images, StandIn};
use lab::service::ReservedPort;

use crate::{Break, Step};

/// Where the service serves metrics unless told otherwise.
pub(super) const METRICS: SocketAddr = loopback(33333);
/// Where rkt's api-service listens, and the service looks for it.
pub(super) const STORE: SocketAddr = loopback(15441);
/// Where a Jaeger agent takes compact Thrift over UDP, and the service sends it.
pub(super) const AGENT: SocketAddr = loopback(6831);

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// A stand-in that serves these images.
pub(super) fn stand_in(images: &Images) -> Step<StandIn> {
    StandIn::tcp_at(STORE, images.clone())
        .or_else(|_taken| StandIn::tcp_at(loopback(0), images.clone()))
        .map_err(Break::because("127.0.0.1 has no free port"))
}

/// Takes what a Jaeger agent would.
pub(super) fn agent() -> Step<JaegerAgent> {
    JaegerAgent::bind_at(AGENT)
        .or_else(|_taken| JaegerAgent::bind_at(loopback(0)))
        .map_err(Break::because("127.0.0.1 has no free port"))
}

/// Where the service is to serve metrics.
#[derive(Debug)]
pub(super) enum MetricsPort {
    WellKnown,
    /// Kept from everybody else.
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

/// The address, and why it is not the usual one when it is not.
pub(super) fn described(address: SocketAddr, usual: SocketAddr) -> String {
    if address == usual {
        return address.to_string();
    }
    format!("{address} ({} is taken)", usual.port())
}
