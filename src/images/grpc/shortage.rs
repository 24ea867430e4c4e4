//! What this process or host can lack for a connection.

use std::{fmt, io};

use rustix::io::Errno;

/// What this process or host lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shortage {
    /// File descriptors of this process.
    Descriptors,
    /// File descriptors of the whole host.
    HostDescriptors,
    /// Memory for a socket.
    Memory,
    /// What epoll(7) may watch.
    Watches,
    /// A port or an address of its own to connect from.
    LocalAddress,
}

impl Shortage {
    /// What an error of socket(2), connect(2) or epoll_ctl(2) says of this side; `None` where it says something of the other.
    pub(super) fn behind(error: &io::Error) -> Option<Self> {
        match Errno::from_io_error(error)? {
            Errno::MFILE => Some(Self::Descriptors),
            Errno::NFILE => Some(Self::HostDescriptors),
            Errno::NOMEM | Errno::NOBUFS => Some(Self::Memory),
            Errno::NOSPC => Some(Self::Watches),
            Errno::ADDRNOTAVAIL => Some(Self::LocalAddress),
            _ => None,
        }
    }
}

/// What to do.
impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Descriptors => {
                "this process has no file descriptor left: raise LimitNOFILE= of the unit (ulimit -n)"
            }
            Self::HostDescriptors => {
                "this host has no file descriptor left: see the sysctl fs.file-max"
            }
            Self::Memory => "there is no memory left for a socket: see MemoryMax= of the unit, and the host's memory",
            Self::Watches => {
                "epoll may watch no further socket: see the sysctl fs.epoll.max_user_watches"
            }
            Self::LocalAddress => {
                "this host has no port or address left to connect from: see the sysctl net.ipv4.ip_local_port_range, and whether the host has an address of this family"
            }
        })
    }
}
