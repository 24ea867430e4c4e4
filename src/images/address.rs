//! Where a store listens.

use std::fmt;

/// Where a store listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreAddress {
    /// gRPC without TLS over TCP.
    Tcp {
        /// Name or IP address; IPv6 in brackets.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// Absolute path of a Unix stream socket.
    Unix(String),
}

impl StoreAddress {
    /// Host name, IP address or socket path: the attribute `server.address`.
    pub(crate) fn host(&self) -> &str {
        match self {
            Self::Tcp { host, .. } => host,
            Self::Unix(path) => path,
        }
    }

    /// The attribute `server.port`; a Unix socket has none.
    pub(crate) fn port(&self) -> Option<i64> {
        match self {
            Self::Tcp { port, .. } => Some(i64::from(*port)),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "http://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix://{path}"),
        }
    }
}
