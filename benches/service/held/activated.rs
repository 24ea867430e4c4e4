//! The service as its units run it: it inherits the socket. The backlog, deferred accept and the limit on descriptors are those
//! of the units.

use std::{
    env,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use lab::service::http::Connection;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};

use crate::{peers::Peers, start, usage::Usage};

const SOCKET_UNIT: &str = include_str!("../../../systemd/exp-rkt-grpc.socket");

const SERVICE_UNIT: &str = include_str!("../../../systemd/exp-rkt-grpc.service");

/// A running service; dropping it kills it.
pub(super) struct Activated {
    child: Child,
    /// Kept open, as by systemd.
    _socket: TcpListener,
    address: SocketAddr,
}

impl Activated {
    /// Starts the service and waits until it shows the numbers of `store`.
    pub(super) fn start(peers: &Peers, store: &str) -> Self {
        let socket = socket();
        let address = socket.local_addr().expect("it is bound");
        let descriptors = format!("--nofile={}", setting(SERVICE_UNIT, "LimitNOFILE="));
        let bench = env::current_exe().expect("this program has a path");
        let child = Command::new(bench)
            .args([start::ROLE, "prlimit", &descriptors])
            .arg(&peers.program)
            .args(["--query-at-start", "--store", store])
            .envs(peers.environment())
            .stdin(duplicate(&socket))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("this program runs");
        let service = Self {
            child,
            _socket: socket,
            address,
        };
        service.wait_for_numbers();
        service
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn usage(&self) -> Usage {
        Usage(self.child.id())
    }

    fn wait_for_numbers(&self) {
        let mut connection = Connection::open(self.address).expect("the socket listens");
        let mut scrape = || connection.get("/metrics").expect("the scrape is answered");
        while !scrape().text().contains("\nimagestore_images{") {
            sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        // Fails only if the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn socket() -> TcpListener {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .expect("a socket can be made");
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let socket = TcpListener::from(socket);
    defer_accept(&socket);
    let backlog = setting(SOCKET_UNIT, "Backlog=");
    listen(&socket, backlog.parse().expect("a number")).expect("the socket is bound");
    socket
}

/// Neither std nor rustix supports this option, but any process that holds the socket can set it. 6 is IPPROTO_TCP, 9 is
/// TCP_DEFER_ACCEPT.
fn defer_accept(socket: &TcpListener) {
    let delay = setting(SOCKET_UNIT, "DeferAcceptSec=").strip_suffix('s');
    let delay: u32 = delay
        .and_then(|delay| delay.parse().ok())
        .expect("whole seconds");
    let set = Command::new("perl")
        .arg("-e")
        .arg(format!(
            "setsockopt(STDIN, 6, 9, pack('i', {delay})) or die $!"
        ))
        .stdin(duplicate(socket))
        .status();
    assert!(
        set.is_ok_and(|status| status.success()),
        "perl cannot set TCP_DEFER_ACCEPT"
    );
}

fn setting(unit: &'static str, name: &str) -> &'static str {
    let mut settings = unit.lines().filter_map(|line| line.strip_prefix(name));
    settings
        .next()
        .unwrap_or_else(|| panic!("no {name} in the unit"))
}

fn duplicate(socket: &TcpListener) -> OwnedFd {
    let socket = socket.try_clone().expect("there are descriptors left");
    socket.into()
}
