//! The lookup of a host's addresses: an act of its own, so that an error can say whether it or connecting took too long.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use socket2::{Domain, Socket, Type};
use tokio::net::UnixDatagram;
use tower::Service;

use crate::images::grpc::{connect_error::ConnectError, target::Target};

/// The addresses of a host, without ports.
pub(super) async fn addresses(
    host: &str,
    target: &Target,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = literal.parse::<IpAddr>() {
        return Ok(vec![(address, 0).into()]);
    }
    let name: Name = host
        .parse()
        .map_err(|error| target.unresolved(&io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    match GaiResolver::new().call(name).await {
        Ok(addresses) => Ok(addresses.collect()),
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
