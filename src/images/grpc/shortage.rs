//! Resources that this process or host can lack for a connection.

use std::{fmt, io};

use rustix::io::Errno;

/// A missing resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shortage {
    /// File descriptors of this process.
    Descriptors,
    /// File descriptors of the whole host.
    HostDescriptors,
    /// Memory for a socket.
    Memory,
    /// Watches of epoll(7).
    Watches,
    /// A local port or address.
    LocalAddress,
}

impl Shortage {
    /// The shortage that an error of socket(2), connect(2) or epoll_ctl(2) reports; `None` for errors of the other end.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
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

/// What is missing, and what to do.
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
                "epoll cannot watch another socket: see the sysctl fs.epoll.max_user_watches"
            }
            Self::LocalAddress => {
                "this host has no port or address left to connect from: see the sysctl net.ipv4.ip_local_port_range, and whether the host has an address of this family"
            }
        })
    }
}
