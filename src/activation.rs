//! The listening sockets: passed by systemd, or bound by the service.
//!
//! See sd_listen_fds(3) and systemd.socket(5). Nothing here may run once a second thread exists: taking the sockets clears the
//! environment variables that announced them.

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, linux::net::SocketAddrExt, unix::net::UnixListener},
};

use thiserror::Error;

use crate::words;

mod listening;
mod passed;

pub use passed::Passed;

/// How to change the address of the metrics socket. Restarting the socket unit also restarts the service; until then systemd has no
/// socket for the changed address, and passes none.
pub(crate) const CHANGE_OF_ADDRESS: &str = "run systemctl edit exp-rkt-grpc.socket to set the address, then systemctl restart exp-rkt-grpc.socket";

/// Maximum length in bytes of a list of names in an error.
const MAX_NAMES: usize = 512;

/// The sockets and descriptors to work with.
#[derive(Debug)]
pub struct Sockets {
    /// Where scrapes arrive; at least one.
    pub listeners: Vec<Socket>,
    /// Where the listeners come from.
    pub origin: Origin,
    /// Descriptors that an earlier process left in systemd's store, with their names.
    pub stored: Vec<(String, OwnedFd)>,
    /// Descriptors with such a name that cannot be used, with the reason; logged once there is a log.
    pub(crate) ignored: Vec<(String, io::Error)>,
}

/// A socket that scrapes arrive on: listening, non-blocking and close-on-exec.
#[derive(Debug)]
pub enum Socket {
    /// AF_INET or AF_INET6.
    Tcp(TcpListener),
    /// AF_UNIX, stream.
    Unix(UnixListener),
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(tcp) => match tcp.local_addr() {
                Ok(address) => address.fmt(f),
                Err(error) => error.fmt(f),
            },
            Self::Unix(unix) => match unix.local_addr() {
                Ok(address) => match (address.as_pathname(), address.as_abstract_name()) {
                    (Some(path), _) => path.display().fmt(f),
                    // As systemd and ss(8) write it.
                    (None, Some(name)) => write!(f, "@{}", name.escape_ascii()),
                    (None, None) => f.write_str("(unnamed)"),
                },
                Err(error) => error.fmt(f),
            },
        }
    }
}

/// Where the listening sockets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// systemd passed them (socket activation).
    Systemd,
    /// The service bound one to `--listen`.
    Bound,
}

/// Why there is no usable listening socket.
#[derive(Debug, Error)]
pub enum ActivationError {
    /// `LISTEN_FDS` or `LISTEN_FDNAMES` violates sd_listen_fds(3), or names closed descriptors.
    #[error("the sockets that systemd announces in LISTEN_FDS and LISTEN_FDNAMES cannot be used")]
    Announcement(#[source] io::Error),
    /// Several sockets were passed and none is named `metrics`.
    #[error(
        "systemd passed the sockets {}: expected one of them to be named \"metrics\" (FileDescriptorName=metrics in the .socket unit)",
        shown(.0)
    )]
    NoMetricsSocket(Vec<String>),
    /// The socket cannot accept connections.
    #[error(
        "the socket that systemd passed is not a listening stream socket: expected ListenStream= and Accept=no in the .socket unit"
    )]
    NotListening(#[source] Option<io::Error>),
    /// systemd runs the service but passed no socket, and no address was given.
    #[error(
        "systemd passed no socket: if the address of exp-rkt-grpc.socket was changed, run systemctl restart exp-rkt-grpc.socket (restarting the service is not enough); to serve without a socket unit, set --listen (EXP_RKT_GRPC_LISTEN)"
    )]
    NothingPassed,
    /// The address of `--listen` cannot be bound.
    #[error("cannot listen on {address}: {}", listening::cure(*address, source))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The error of bind(2) or listen(2).
        source: io::Error,
    },
}

impl Sockets {
    /// Logs the ignored descriptors.
    pub fn warn_of_ignored(&self) {
        for (name, error) in &self.ignored {
            tracing::warn!(name, %error, "stored descriptor ignored");
        }
    }
}

impl Origin {
    /// Warns if an address was given but has no effect.
    pub fn warn_of_unused(self, listen: Option<SocketAddr>) {
        if let (Self::Systemd, Some(address)) = (self, listen) {
            tracing::warn!(
                %address,
                cure = CHANGE_OF_ADDRESS,
                "--listen (EXP_RKT_GRPC_LISTEN) has no effect: systemd passed a socket"
            );
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Systemd => "passed by systemd",
            Self::Bound => "bound by the service",
        })
    }
}

impl ActivationError {
    /// Whether a restart with the same units and settings would fail again. An address that is taken or missing may be free or there
    /// later, when another process has ended or the network is up; a forbidden one stays forbidden.
    pub(crate) fn is_configuration(&self) -> bool {
        match self {
            Self::Bind { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            _ => true,
        }
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        match socket {
            Socket::Tcp(tcp) => tcp.into(),
            Socket::Unix(unix) => unix.into(),
        }
    }
}

/// The names, truncated if the list is too long.
fn shown(names: &[String]) -> String {
    words::cut(&format!("{names:?}"), MAX_NAMES)
}

#[cfg(test)]
mod tests {
    use std::os::{linux::net::SocketAddrExt, unix::net};

    use super::{Socket, UnixListener};

    #[test]
    fn an_abstract_socket_is_shown_by_its_name() {
        let name = format!("exp-rkt-grpc\n{}", std::process::id());
        let address = net::SocketAddr::from_abstract_name(&name).expect("it is short");
        let socket = UnixListener::bind_addr(&address).expect("it is free");
        let shown = Socket::Unix(socket).to_string();
        assert_eq!(shown, format!("@exp-rkt-grpc\\n{}", std::process::id()));
    }
}
