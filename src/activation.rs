//! Sockets in: what systemd passes, or a listening socket of our own.
//!
//! See sd_listen_fds(3) and systemd.socket(5). Nothing here may run once a second thread exists: taking the sockets clears the
//! environment variables that announced them.

use std::{
    env, fmt, io,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::{
        fd::{AsFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::net::UnixListener,
    },
};

use listenfd::ListenFd;
use rustix::net::{AddressFamily, SocketType};
use socket2::SockRef;
use thiserror::Error;

use crate::words;

mod bind;

use bind::bind;

/// `FileDescriptorName=` of the metrics sockets where systemd passes several sockets.
const METRICS: &str = "metrics";

/// `FileDescriptorName=` of the datagram socket that traces leave by, for a service without a network of its own.
const TRACE: &str = "trace";

/// Descriptors that we have put into systemd's store ourselves have names that begin so.
const STATE: &str = "state-";

/// Set by systemd for a service that is to notify it, see sd_notify(3).
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// How to change the address of the metrics socket. Restarting the socket unit restarts the service, too; until then systemd has
/// no socket for the changed address, and passes none.
pub const CHANGE_OF_ADDRESS: &str = "run systemctl edit exp-rkt-grpc.socket to set the address, then systemctl restart exp-rkt-grpc.socket";

/// Longest list of names that is shown whole, in bytes.
const MAX_NAMES: usize = 512;

/// What the process has to work with.
#[derive(Debug)]
pub struct Sockets {
    /// Where scrapes arrive; at least one.
    pub listeners: Vec<Socket>,
    /// Who made those.
    pub origin: Origin,
    /// Where traces leave; `None`: by a socket of the exporter's own.
    pub trace: Option<UdpSocket>,
    /// What an earlier process has left in systemd's descriptor store, by name.
    pub stored: Vec<(String, OwnedFd)>,
    /// What is named as if it had been left there, and cannot be, with the reason: to be logged once there is a log.
    pub ignored: Vec<(String, io::Error)>,
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
    /// The socket named `trace` is none that datagrams can be sent by.
    #[error(
        "the socket named \"trace\" that systemd passed is no UDP socket: expected ListenDatagram= in its .socket unit"
    )]
    NotDatagram(#[source] Option<io::Error>),
    /// systemd runs the service and has passed no socket, and no address was given.
    #[error(
        "systemd passed no socket: if the address of exp-rkt-grpc.socket was changed, run systemctl restart exp-rkt-grpc.socket (restarting the service is not enough); to serve without a socket unit, set --listen (EXP_RKT_GRPC_LISTEN)"
    )]
    NothingPassed,
    /// The address of `--listen` cannot be bound.
    #[error("cannot listen on {address}: {}", bind::cure(*address, source))]
    Bind {
        /// What `--listen` said.
        address: SocketAddr,
        /// What bind(2) or listen(2) said.
        source: io::Error,
    },
}

impl ActivationError {
    /// Whether starting again with the same units and settings is bound to fail again.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        !matches!(self, Self::Bind { .. })
    }
}

/// Takes what systemd passed. When there is no listening socket among it, binds the `given` address, or without one, and
/// outside systemd only, the `default`.
///
/// Of several sockets those named `metrics` are taken; a single one is taken whatever its name. Besides, a datagram socket may
/// be named `trace`.
///
/// # Errors
///
/// When systemd passed something unusable, or nothing where it should have; or when the address cannot be bound.
pub fn take(given: Option<SocketAddr>, default: SocketAddr) -> Result<Sockets, ActivationError> {
    let names: Vec<String> = sd_notify::listen_fds_with_names()
        .map_err(ActivationError::Announcement)?
        .map(|(_, name)| name)
        .collect();
    let mut passed = ListenFd::from_env();
    let mut listeners = Vec::new();
    let mut trace = None;
    let mut stored = Vec::new();
    let mut ignored = Vec::new();
    for (index, name) in names.into_iter().enumerate() {
        match name.as_str() {
            TRACE => trace = Some(outgoing(&mut passed, index)?),
            _ if name.starts_with(STATE) => match kept(&mut passed, index) {
                Ok(fd) => stored.extend(fd.map(|fd| (name, fd))),
                Err(error) => ignored.push((name, error)),
            },
            _ => listeners.push((index, name)),
        }
    }
    let inherited = listeners_for_metrics(&listeners)?
        .into_iter()
        .map(|index| inherit(&mut passed, index))
        .collect::<Result<Vec<_>, _>>()?;
    let (listeners, origin) = match inherited {
        none if none.is_empty() => {
            let address = match given {
                Some(given) => given,
                // Nobody would look for the metrics at the default address.
                None if is_run_by_systemd() => return Err(ActivationError::NothingPassed),
                None => default,
            };
            (vec![bind(address)?], Origin::Bound)
        }
        inherited => (inherited, Origin::Systemd),
    };
    Ok(Sockets {
        listeners,
        origin,
        trace,
        stored,
        ignored,
    })
}

fn is_run_by_systemd() -> bool {
    env::var_os(NOTIFY_SOCKET).is_some_and(|path| !path.is_empty())
}

/// What is too long is cut and marked.
fn shown(names: &[String]) -> String {
    words::cut(&format!("{names:?}"), MAX_NAMES)
}

fn listeners_for_metrics(passed: &[(usize, String)]) -> Result<Vec<usize>, ActivationError> {
    if let [(only, _)] = passed {
        return Ok(vec![*only]);
    }
    let named: Vec<usize> = passed
        .iter()
        .filter_map(|(index, name)| (name == METRICS).then_some(*index))
        .collect();
    if named.is_empty() && !passed.is_empty() {
        let names = passed.iter().map(|(_, name)| name.clone()).collect();
        return Err(ActivationError::NoMetricsSocket(names));
    }
    Ok(named)
}

fn inherit(passed: &mut ListenFd, index: usize) -> Result<Socket, ActivationError> {
    let socket = match passed.take_tcp_listener(index) {
        Ok(Some(tcp)) => Socket::Tcp(tcp),
        // listenfd leaves a socket of another family in its place.
        _ => match passed.take_unix_listener(index) {
            Ok(Some(unix)) => Socket::Unix(unix),
            Ok(None) => return Err(ActivationError::NotListening(None)),
            Err(error) => return Err(ActivationError::NotListening(Some(error))),
        },
    };
    prepare(&socket).map_err(|error| ActivationError::NotListening(Some(error)))?;
    Ok(socket)
}

fn outgoing(passed: &mut ListenFd, index: usize) -> Result<UdpSocket, ActivationError> {
    match passed.take_udp_socket(index) {
        Ok(Some(socket)) => Ok(socket),
        Ok(None) => Err(ActivationError::NotDatagram(None)),
        Err(error) => Err(ActivationError::NotDatagram(Some(error))),
    }
}

/// A descriptor that is no packet socket was not stored by us; it stays where it is.
fn kept(passed: &mut ListenFd, index: usize) -> io::Result<Option<OwnedFd>> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    passed.take_custom(
        index,
        i32::from(family.as_raw()),
        kind.as_raw().cast_signed(),
        "unix packet socket",
    )
}

/// listenfd checks the family and sets close-on-exec; listening (SO_ACCEPTCONN) and non-blocking are left to us.
fn prepare(socket: &Socket) -> io::Result<()> {
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
    socket.set_nonblocking(true)
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
