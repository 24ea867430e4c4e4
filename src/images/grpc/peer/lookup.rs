//! The lookup of a host's addresses, separate from connecting, so that an error can name the one that took too long.

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
        Err(error) => Err(match socket_error() {
            Some(error) => target.unreached(&error),
            None => target.unresolved(&error),
        }),
    }
}

/// The error if this process cannot open sockets: the resolver needs them, but does not report it.
fn socket_error() -> Option<io::Error> {
    let unix = UnixDatagram::unbound().err();
    unix.or_else(|| Socket::new(Domain::IPV4, Type::DGRAM, None).err())
}
