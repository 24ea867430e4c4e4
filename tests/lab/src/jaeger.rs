//! A real Jaeger with its own all-in-one configuration, and a client of its query API.

mod api;

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{LazyLock, mpsc};
use std::thread;

use tempfile::TempDir;

use crate::peers::{self, Peer};
use crate::poll::eventually;
use crate::service::http;

pub use api::Api;

/// The ports that clients use.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// Compact Thrift over UDP.
    pub agent: u16,
    /// OTLP over gRPC.
    pub otlp: u16,
    /// The query API.
    pub query: u16,
    /// Reports over HTTP whether it is healthy.
    pub health: u16,
}

/// The usual ports.
pub const USUAL: Ports = Ports {
    agent: 6831,
    otlp: 4317,
    query: 16686,
    health: 13133,
};

/// The ports of a [`Jaeger`]: a program of this host that listens on every address, such as another Jaeger, does not have them.
const PORTS: Ports = Ports {
    agent: 26831,
    otlp: 24317,
    query: 26686,
    health: 23133,
};

/// A Jaeger on a loopback address of its own, running or stopped. Dropping it kills it.
///
/// It keeps traces in memory, and loses them when it stops.
#[derive(Debug)]
pub struct Jaeger {
    program: PathBuf,
    host: Ipv4Addr,
    folder: TempDir,
    running: Option<Child>,
}

impl Jaeger {
    /// Starts a Jaeger. `None` if the program is missing, see [`peers::folder`].
    #[track_caller]
    pub fn start() -> Option<Self> {
        program().map(Self::run)
    }

    /// Starts this program.
    #[track_caller]
    pub fn run(program: PathBuf) -> Self {
        let mut jaeger = Self::new(program);
        jaeger.launch();
        jaeger
    }

    /// A Jaeger that is not started yet. `None` if the program is missing, see [`peers::folder`].
    #[track_caller]
    pub fn prepare() -> Option<Self> {
        program().map(Self::new)
    }

    /// A Jaeger that runs until this process ends, for all of its tests that neither stop it nor count its traces. `None` if the
    /// program is missing, see [`peers::folder`].
    #[track_caller]
    pub fn shared() -> Option<&'static Self> {
        static SHARED: LazyLock<Jaeger> = LazyLock::new(|| {
            let (sender, started) = mpsc::channel();
            thread::spawn(move || {
                let program = program().expect("the caller has found the program");
                sender
                    .send(Jaeger::run(program))
                    .expect("the receiver waits");
                // Jaeger ends with the thread that started it.
                loop {
                    thread::park();
                }
            });
            started.recv().expect("Jaeger starts")
        });
        program().map(|_| &*SHARED)
    }

    fn new(program: PathBuf) -> Self {
        Self {
            program,
            host: free_host(),
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
            running: None,
        }
    }

    /// Starts it, and waits until it is healthy: it then receives traces and answers queries.
    #[track_caller]
    pub fn launch(&mut self) {
        assert!(self.running.is_none(), "Jaeger is already running");
        let log = File::create(self.log_path()).expect("there is room for a log");
        let host = self.host;
        let endpoints =
            endpoints().map(|(server, port)| format!("--set={server}.endpoint={host}:{port}"));
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(&self.program)
            .args(endpoints)
            // Its own metrics need a port, too.
            .arg("--set=service.telemetry.metrics.level=none")
            // Traces can be found at once, not after 200 ms.
            .arg("--set=processors.batch.timeout=0s")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // The signals of a terminal must not reach it.
            .process_group(0)
            .spawn()
            .expect("every Debian has setpriv");
        self.running = Some(child);
        eventually("Jaeger to be healthy", || {
            let ended = self.running.as_mut()?.try_wait().expect("it is our child");
            assert_eq!(ended, None, "Jaeger has ended:\n{}", self.log());
            is_healthy(self.at(PORTS.health)).then_some(())
        });
    }

    /// Kills it, and waits until it has ended.
    pub fn kill(&mut self) {
        let mut child = self.running.take().expect("Jaeger runs");
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
    }

    /// Where it receives compact Thrift over UDP: `OTEL_EXPORTER_JAEGER_AGENT_HOST` and `_PORT`.
    pub fn agent(&self) -> SocketAddr {
        self.at(PORTS.agent)
    }

    /// Where it receives OTLP over gRPC: `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn otlp_endpoint(&self) -> String {
        format!("http://{}", self.at(PORTS.otlp))
    }

    /// The number of datagrams that did not fit its socket for compact Thrift, since it was launched.
    pub fn lost_datagrams(&self) -> u64 {
        // /proc/net/udp has an address as a number in memory, and the drops in its last column.
        let address = u32::from_ne_bytes(self.host.octets());
        let socket = format!("{address:08X}:{:04X}", PORTS.agent);
        let sockets = fs::read_to_string("/proc/net/udp").expect("Linux has it");
        let is_ours = |line: &&str| line.split_whitespace().nth(1) == Some(socket.as_str());
        let line = sockets.lines().find(is_ours);
        let drops = line.and_then(|line| line.split_whitespace().last());
        let drops = drops.expect("Jaeger runs");
        drops.parse().expect("the last column is a number")
    }

    /// Its query API.
    pub fn api(&self) -> Api {
        Api::at(self.at(PORTS.query))
    }

    /// Its log, for failure messages.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::from((self.host, port))
    }
}

impl Drop for Jaeger {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.kill();
        }
    }
}

/// The servers of the all-in-one configuration. Port 0 is any port.
fn endpoints() -> impl Iterator<Item = (&'static str, u16)> {
    [
        ("receivers.jaeger.protocols.thrift_compact", PORTS.agent),
        ("receivers.otlp.protocols.grpc", PORTS.otlp),
        ("extensions.jaeger_query.http", PORTS.query),
        ("extensions.healthcheckv2.http", PORTS.health),
        // These three do not accept 0.
        ("receivers.jaeger.protocols.grpc", 24250),
        ("receivers.jaeger.protocols.thrift_binary", 26832),
        ("receivers.jaeger.protocols.thrift_http", 24268),
        ("receivers.otlp.protocols.http", 0),
        ("receivers.zipkin", 0),
        ("extensions.expvar", 0),
        ("extensions.healthcheckv2.grpc", 0),
        ("extensions.jaeger_query.grpc", 0),
        ("extensions.remote_sampling.grpc", 0),
        ("extensions.remote_sampling.http", 0),
        ("extensions.zpages", 0),
    ]
    .into_iter()
}

/// Whether the Jaeger that reports its health there receives traces and answers queries.
pub fn is_healthy(health: SocketAddr) -> bool {
    http::get(health, "/status").is_ok_and(|health| health.status == 200)
}

/// The program. `None` if it is missing, see [`peers::folder`].
#[track_caller]
pub fn program() -> Option<PathBuf> {
    peers::folder(Peer::Jaeger).map(|folder| folder.join("jaeger"))
}

/// A loopback address that no other Jaeger has: the id of this process keeps concurrent test programs apart.
fn free_host() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(140);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, NEXT.fetch_add(1, Ordering::Relaxed), high, low)
}
