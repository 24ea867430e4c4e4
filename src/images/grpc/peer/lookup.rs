//! A host's addresses, looked up before the connector asks for them, so that it is known which of both takes its time.

use std::{
    future::{Ready, ready},
    io,
    net::{IpAddr, SocketAddr},
    task::{Context, Poll},
};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use socket2::{Domain, Socket, Type};
use tokio::net::UnixDatagram;
use tower_service::Service;

use crate::images::grpc::{connect_error::ConnectError, target::Target};

/// Looks up the addresses of a host that is not an address itself: those are the connector's to read.
pub(super) async fn known(host: &str, target: &Target) -> Result<Known, ConnectError> {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    if literal.parse::<IpAddr>().is_ok() {
        return Ok(Known(Vec::new()));
    }
    let name: Name = host
        .parse()
        .map_err(|error| target.unresolved(&io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    match GaiResolver::new().call(name).await {
        Ok(addresses) => Ok(Known(addresses.collect())),
        Err(error) => Err(match own_fault() {
            Some(fault) => target.unreached(&fault),
            None => target.unresolved(&error),
        }),
    }
}

/// The resolver needs sockets of its own, and does not say so when it cannot have them.
fn own_fault() -> Option<io::Error> {
    let of_descriptors = UnixDatagram::unbound().err();
    of_descriptors.or_else(|| Socket::new(Domain::IPV4, Type::DGRAM, None).err())
}

/// A host's addresses, which are looked up already.
#[derive(Clone)]
pub(super) struct Known(Vec<SocketAddr>);

impl Service<Name> for Known {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(self.0.clone().into_iter()))
    }
}
