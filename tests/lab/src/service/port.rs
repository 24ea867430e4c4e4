//! A reserved TCP port.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};

/// A loopback port, reserved by a bound socket that does not listen. The kernel does not assign the port to other sockets, and
/// connections to it are refused. A program that sets `SO_REUSEADDR`, as servers do, can still bind it and listen.
#[derive(Debug)]
pub struct ReservedPort {
    address: SocketAddr,
    _socket: OwnedFd,
}

impl ReservedPort {
    /// Reserves a free port of 127.0.0.1 until it is dropped.
    pub fn reserve() -> Self {
        let socket = net::socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .expect("a socket can be made");
        sockopt::set_socket_reuseaddr(&socket, true).expect("a new socket accepts the option");
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        net::bind(&socket, &any_port).expect("a loopback port is free");
        let address = net::getsockname(&socket)
            .expect("the socket is bound")
            .try_into()
            .expect("the socket is bound to an internet address");
        Self {
            address,
            _socket: socket,
        }
    }

    /// 127.0.0.1 and the port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_reserved_port_refuses_connections_until_a_server_listens_there() {
        let port = ReservedPort::reserve();
        let refused = TcpStream::connect(port.address()).expect_err("no server listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let _server = TcpListener::bind(port.address()).expect("a server can still bind it");
        TcpStream::connect(port.address()).expect("the server listens");
    }
}
