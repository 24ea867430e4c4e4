//! A listening socket of our own.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener},
};

use super::{ActivationError, Socket};

/// The first port that does not need a privilege, unless the sysctl net.ipv4.ip_unprivileged_port_start says otherwise.
const FIRST_FREE: u16 = 1024;

pub(super) fn bind(address: SocketAddr) -> Result<Socket, ActivationError> {
    TcpListener::bind(address)
        .and_then(|tcp| tcp.set_nonblocking(true).map(|()| Socket::Tcp(tcp)))
        .map_err(|source| ActivationError::Bind { address, source })
}

/// What to do when an address cannot be bound.
pub(super) fn cure(address: SocketAddr, error: &io::Error) -> String {
    let port = address.port();
    match error.kind() {
        ErrorKind::AddrInUse => format!(
            "the address is taken, perhaps by exp-rkt-grpc.socket or another exp-rkt-grpc (ss -ltnp sport = {port} shows by whom); choose another one with --listen (EXP_RKT_GRPC_LISTEN)"
        ),
        ErrorKind::AddrNotAvailable => format!(
            "this host does not have that address; choose one that \"ip address\" shows, or {} for all of them, with --listen (EXP_RKT_GRPC_LISTEN)",
            if address.is_ipv4() { "0.0.0.0" } else { "[::]" }
        ),
        ErrorKind::PermissionDenied if port < FIRST_FREE => format!(
            "ports below {FIRST_FREE} are for root; choose a higher one with --listen (EXP_RKT_GRPC_LISTEN)"
        ),
        ErrorKind::PermissionDenied => {
            "a sandbox or security module of this host forbids it; choose another address with --listen (EXP_RKT_GRPC_LISTEN)".to_owned()
        }
        _ => "see --listen (EXP_RKT_GRPC_LISTEN)".to_owned(),
    }
}
