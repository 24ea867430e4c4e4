//! Prepares a listening socket that was passed, or binds one.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener},
    os::fd::AsFd,
};

use socket2::SockRef;

use super::{ActivationError, Socket};

/// Send buffer of a connection, which limits how much of an answer the kernel takes while the client does not read; the kernel
/// doubles it for its own overhead. By default it takes 2.5 MB on loopback, so that a client that sends requests without reading
/// causes many answers to be made.
const SEND_BUFFER: usize = 32 * 1024;

/// The first port that needs no privilege, by default (sysctl net.ipv4.ip_unprivileged_port_start).
const FIRST_FREE: u16 = 1024;

/// listenfd has checked the family and set close-on-exec. This checks that the socket listens (SO_ACCEPTCONN) and sets the rest.
pub(super) fn prepare(socket: &Socket) -> io::Result<()> {
    let fd = match socket {
        Socket::Tcp(tcp) => tcp.as_fd(),
        Socket::Unix(unix) => unix.as_fd(),
    };
    let socket = SockRef::from(&fd);
    if !socket.is_listener()? {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "listen(2) was never called on it",
        ));
    }
    // TCP connections inherit it; AF_UNIX connections do not, but have 208 KiB at most.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.set_nonblocking(true)
}

pub(super) fn bind(address: SocketAddr) -> Result<Socket, ActivationError> {
    TcpListener::bind(address)
        .map(Socket::Tcp)
        .and_then(|socket| prepare(&socket).map(|()| socket))
        .map_err(|source| ActivationError::Bind { address, source })
}

/// What to do when an address cannot be bound.
pub(super) fn cure(address: SocketAddr, error: &io::Error) -> String {
    let port = address.port();
    match error.kind() {
        ErrorKind::AddrInUse => format!(
            "the address is taken, perhaps by exp-rkt-grpc.socket or another exp-rkt-grpc (ss -ltnp sport = {port} shows the process); choose another one with --listen (EXP_RKT_GRPC_LISTEN)"
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

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn the_kernel_takes_little_of_an_answer_that_is_not_read() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let Socket::Tcp(listener) = bind(any).expect("a loopback port is free") else {
            panic!("it was bound to a TCP address");
        };
        let address = listener.local_addr().expect("it is bound");
        let _client = TcpStream::connect(address).expect("it listens");
        let (connection, _) = listener.accept().expect("there is a connection");
        let size = SockRef::from(&connection).send_buffer_size();
        assert_eq!(size.expect("it has one"), 2 * SEND_BUFFER);
    }
}
