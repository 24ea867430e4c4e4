//! The sockets and descriptors that systemd passes.

use std::{env, io, mem, net::SocketAddr, os::fd::OwnedFd};

use listenfd::ListenFd;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{AddressFamily, SocketType},
};

use super::{
    ActivationError, Origin, Socket, Sockets,
    listening::{bind, prepare},
};

/// `FileDescriptorName=` of the metrics sockets where systemd passes several sockets.
const METRICS: &str = "metrics";

/// Prefix of the names of descriptors that the service itself put into systemd's store.
const STATE: &str = "state-";

/// Set by systemd for a service that should notify it, see sd_notify(3).
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// The passed descriptors that have not been taken.
pub struct Passed {
    fds: ListenFd,
    /// The names of all passed descriptors, also of those that have been taken.
    names: Vec<String>,
    /// Usable metrics sockets, while others are still being checked.
    listeners: Vec<Socket>,
}

impl Passed {
    /// Reads the environment variables that announce the sockets, and clears them.
    ///
    /// # Errors
    ///
    /// When they violate sd_listen_fds(3).
    pub fn from_env() -> Result<Self, ActivationError> {
        let names = sd_notify::listen_fds_with_names()
            .map_err(ActivationError::Announcement)?
            .map(|(_, name)| name)
            .collect();
        Ok(Self {
            fds: ListenFd::from_env(),
            names,
            listeners: Vec::new(),
        })
    }

    /// Takes the sockets. If there is no listening socket among them, binds the `given` address; without one, binds the `default`,
    /// but only outside systemd.
    ///
    /// Of several sockets those named `metrics` are taken; a single one is taken whatever its name.
    ///
    /// # Errors
    ///
    /// When systemd passed something unusable, or nothing although it should have; or when the address cannot be bound.
    pub fn take(
        &mut self,
        given: Option<SocketAddr>,
        default: SocketAddr,
    ) -> Result<Sockets, ActivationError> {
        let mut stored = Vec::new();
        let mut ignored = Vec::new();
        for (index, name) in self.names.iter().enumerate() {
            if name.starts_with(STATE) {
                match take_stored(&mut self.fds, index) {
                    Ok(fd) => stored.extend(fd.map(|fd| (name.clone(), fd))),
                    Err(error) => ignored.push((name.clone(), error)),
                }
            }
        }
        for index in listeners_for_metrics(&self.activated())? {
            let socket = inherit(&mut self.fds, index)?;
            self.listeners.push(socket);
        }
        let (listeners, origin) = match mem::take(&mut self.listeners) {
            none if none.is_empty() => {
                let address = match given {
                    Some(given) => given,
                    // Prometheus scrapes the address in the socket unit, which may not be the default.
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
            stored,
            ignored,
        })
    }

    /// Whether a connection waits, even in a socket that cannot be used: systemd then starts the service again as soon as it exits.
    pub(crate) fn has_waiting_connection(mut self) -> bool {
        let mut sockets: Vec<OwnedFd> = self.listeners.drain(..).map(OwnedFd::from).collect();
        for (index, _) in self.activated() {
            sockets.extend(any_socket(&mut self.fds, index));
        }
        let readable = |socket| PollFd::new(socket, PollFlags::IN);
        let mut sockets: Vec<PollFd<'_>> = sockets.iter().map(readable).collect();
        poll(&mut sockets, Some(&Timespec::default())).is_ok_and(|waiting| waiting > 0)
    }

    /// The sockets of socket units, as index and name.
    fn activated(&self) -> Vec<(usize, String)> {
        let named = self.names.iter().cloned().enumerate();
        named.filter(|(_, name)| !name.starts_with(STATE)).collect()
    }
}

/// Takes a socket of any kind; listenfd leaves one of another kind in its place.
fn any_socket(fds: &mut ListenFd, index: usize) -> Option<OwnedFd> {
    if let Ok(Some(tcp)) = fds.take_tcp_listener(index) {
        Some(tcp.into())
    } else if let Ok(Some(unix)) = fds.take_unix_listener(index) {
        Some(unix.into())
    } else if let Ok(Some(udp)) = fds.take_udp_socket(index) {
        Some(udp.into())
    } else {
        let unix = fds.take_unix_datagram(index).ok().flatten();
        unix.map(OwnedFd::from)
    }
}

fn is_run_by_systemd() -> bool {
    env::var_os(NOTIFY_SOCKET).is_some_and(|path| !path.is_empty())
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

/// Takes a descriptor from the store. One that is not a packet socket was not stored by this service, and is left in place.
fn take_stored(passed: &mut ListenFd, index: usize) -> io::Result<Option<OwnedFd>> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    passed.take_custom(
        index,
        i32::from(family.as_raw()),
        kind.as_raw().cast_signed(),
        "unix packet socket",
    )
}
