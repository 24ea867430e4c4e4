//! The service as its units run it: the socket is handed over, with their backlog, delay and limit of descriptors.

use std::{
    env,
    io::Write,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};

use crate::{peers::Peers, scrapes::load, start, usage::Usage};

/// `Backlog=` of the socket unit.
const BACKLOG: i32 = 4096;

/// `DeferAcceptSec=` of the socket unit. Neither std nor rustix has the option, any process can set it: 6 is IPPROTO_TCP,
/// 9 TCP_DEFER_ACCEPT.
const DEFER_ACCEPT: &str = "setsockopt(STDIN, 6, 9, pack('i', 10)) or die $!";

/// `LimitNOFILE=` of the service unit; the soft limit.
const DESCRIPTORS: &str = "--nofile=1088:";

/// A running service; dropping it kills it.
pub(super) struct Activated {
    child: Child,
    /// systemd keeps it too.
    _socket: TcpListener,
    address: SocketAddr,
}

impl Activated {
    /// The service, once it shows the numbers of `store`.
    pub(super) fn start(peers: &Peers, store: &str) -> Self {
        let socket = socket();
        let address = socket.local_addr().expect("it is bound");
        let own = env::current_exe().expect("this program has a path");
        let child = Command::new(own)
            .args([start::ROLE, "prlimit", DESCRIPTORS])
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
        const NUMBER: &[u8] = b"\nimagestore_images{";
        let mut scraped = TcpStream::connect(self.address).expect("it listens");
        let shown = |response: &[u8]| response.windows(NUMBER.len()).any(|bytes| bytes == NUMBER);
        loop {
            scraped.write_all(load::REQUEST).expect("it is served");
            if shown(&load::read_response(&mut scraped)) {
                return;
            }
            sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        // Fails only when it has ended.
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
    let deferred = Command::new("perl")
        .args(["-e", DEFER_ACCEPT])
        .stdin(duplicate(&socket))
        .status();
    assert!(
        deferred.is_ok_and(|status| status.success()),
        "no TCP_DEFER_ACCEPT"
    );
    listen(&socket, BACKLOG).expect("it is bound");
    socket
}

fn duplicate(socket: &TcpListener) -> OwnedFd {
    let socket = socket.try_clone().expect("there are descriptors left");
    socket.into()
}
