//! Sockets in: what systemd passes, or a listening socket of our own.
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

/// How to change the address of the metrics socket. Restarting the socket unit restarts the service, too; until then systemd has
/// no socket for the changed address, and passes none.
pub(crate) const CHANGE_OF_ADDRESS: &str = "run systemctl edit exp-rkt-grpc.socket to set the address, then systemctl restart exp-rkt-grpc.socket";

/// Longest list of names that is shown whole, in bytes.
const MAX_NAMES: usize = 512;

/// What the process has to work with.
#[derive(Debug)]
pub struct Sockets {
    /// Where scrapes arrive; at least one.
    pub listeners: Vec<Socket>,
    /// Who made those.
    pub origin: Origin,
    /// What an earlier process has left in systemd's descriptor store, by name.
    pub stored: Vec<(String, OwnedFd)>,
    /// What is named as if it had been left there, and cannot be, with the reason: to be logged once there is a log.
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

/// Who made the listening sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// systemd passed them (socket activation).
    Systemd,
    /// We bound one to `--listen`.
    Bound,
}

/// Why there is no socket to serve.
#[derive(Debug, Error)]
pub enum ActivationError {
    /// `LISTEN_FDS` or `LISTEN_FDNAMES` do not say what sd_listen_fds(3) says they should, or name closed descriptors.
    #[error("the sockets that systemd announces in LISTEN_FDS and LISTEN_FDNAMES cannot be used")]
    Announcement(#[source] io::Error),
    /// Several sockets came and none is called `metrics`.
    #[error(
        "systemd passed the sockets {}: expected one of them to be named \"metrics\" (FileDescriptorName=metrics in the .socket unit)",
        shown(.0)
    )]
    NoMetricsSocket(Vec<String>),
    /// The socket is not one that connections can be accepted from.
    #[error(
        "the socket that systemd passed is not a listening stream socket: expected ListenStream= and Accept=no in the .socket unit"
    )]
    NotListening(#[source] Option<io::Error>),
    /// systemd runs the service and has passed no socket, and no address was given.
    #[error(
        "systemd passed no socket: if the address of exp-rkt-grpc.socket was changed, run systemctl restart exp-rkt-grpc.socket (restarting the service is not enough); to serve without a socket unit, set --listen (EXP_RKT_GRPC_LISTEN)"
    )]
    NothingPassed,
    /// The address of `--listen` cannot be bound.
    #[error("cannot listen on {address}: {}", listening::cure(*address, source))]
    Bind {
        /// What `--listen` said.
        address: SocketAddr,
        /// What bind(2) or listen(2) said.
        source: io::Error,
    },
}

impl Sockets {
    /// Logs what was ignored.
    pub fn warn_of_ignored(&self) {
        for (name, error) in &self.ignored {
            tracing::warn!(name, %error, "stored descriptor ignored");
        }
    }
}

impl Origin {
    /// Logs that an address was given, if it has no effect.
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
    /// Whether starting again with the same units and settings is bound to fail again.
    #[must_use]
    pub(crate) fn is_configuration(&self) -> bool {
        !matches!(self, Self::Bind { .. })
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

/// What is too long is cut and marked.
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
        let socket = UnixListener::bind_addr(&address).expect("nobody else has it");
        let shown = Socket::Unix(socket).to_string();
        assert_eq!(shown, format!("@exp-rkt-grpc\\n{}", std::process::id()));
    }
}
