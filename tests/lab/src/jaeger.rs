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

/// The port of compact Thrift over UDP.
pub const AGENT_PORT: u16 = 6831;
/// The port of OTLP over gRPC.
pub const OTLP_PORT: u16 = 4317;
/// The port of the query API.
pub const QUERY_PORT: u16 = 16686;
/// The port at which it reports whether it is healthy.
const HEALTH_PORT: u16 = 13133;

/// A Jaeger with its usual ports on a loopback address of its own, running or stopped. Dropping it kills it.
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
    /// Starts a Jaeger. `None` if the program is missing, see [`peers::programs`].
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

    /// A Jaeger that is not started yet. `None` if the program is missing, see [`peers::programs`].
    #[track_caller]
    pub fn prepare() -> Option<Self> {
        program().map(Self::new)
    }

    /// A Jaeger that runs until this process ends, for all of its tests that neither stop it nor count its traces. `None` if the
    /// program is missing, see [`peers::programs`].
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
        // The configuration has most addresses from JAEGER_LISTEN_HOST; these are on every address, or on 127.0.0.1.
        let elsewhere = [
            ("jaeger_query.http", QUERY_PORT),
            ("jaeger_query.grpc", 16685),
            ("healthcheckv2.grpc", 13132),
        ]
        .map(|(server, port)| format!("--set=extensions.{server}.endpoint={host}:{port}"));
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(&self.program)
            .args(elsewhere)
            // Traces can be found at once, not after 200 ms.
            .arg("--set=processors.batch.timeout=0s")
            .env("JAEGER_LISTEN_HOST", host.to_string())
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
            is_healthy(host).then_some(())
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
        self.at(AGENT_PORT)
    }

    /// Where it receives OTLP over gRPC: `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn otlp_endpoint(&self) -> String {
        format!("http://{}", self.at(OTLP_PORT))
    }

    /// The number of datagrams that did not fit its socket for compact Thrift, since it was launched.
    pub fn lost_datagrams(&self) -> u64 {
        // /proc/net/udp has an address as a number in memory, and the drops in its last column.
        let address = u32::from_ne_bytes(self.host.octets());
        let socket = format!("{address:08X}:{AGENT_PORT:04X}");
        let sockets = fs::read_to_string("/proc/net/udp").expect("Linux has it");
        let line = sockets.lines().find(|line| line.contains(&socket));
        let drops = line.and_then(|line| line.split_whitespace().last());
        let drops = drops.expect("Jaeger runs");
        drops.parse().expect("the last column is a number")
    }

    /// Its query API.
    pub fn api(&self) -> Api {
        Api::at(self.at(QUERY_PORT))
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

/// Whether the Jaeger at this address receives traces and answers queries.
pub fn is_healthy(host: Ipv4Addr) -> bool {
    let health = http::get(SocketAddr::from((host, HEALTH_PORT)), "/status");
    health.is_ok_and(|health| health.status == 200)
}

/// The program. `None` if it is missing, see [`peers::programs`].
#[track_caller]
pub fn program() -> Option<PathBuf> {
    peers::programs(Peer::Jaeger).map(|folder| folder.join("jaeger"))
}

/// A loopback address that no other Jaeger has: the id of this process keeps concurrent test programs apart.
fn free_host() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(140);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, NEXT.fetch_add(1, Ordering::Relaxed), high, low)
}
