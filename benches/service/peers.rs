//! The measured programs: the service, node_exporter, Python.

use std::{
    fs,
    net::{SocketAddr, TcpStream, UdpSocket},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use lab::service::{ReservedPort, Service};

use crate::{report::Report, usage::Usage};

/// The name in Debian's package.
const NODE_EXPORTER: &str = "prometheus-node-exporter";

const NODE_EXPORTER_FLAG: &str = "--collector.disable-defaults";

pub(crate) struct Peers {
    /// The service, as installed.
    pub(crate) program: PathBuf,
    pub(crate) node_exporter: bool,
    /// A Python interpreter with grpcio.
    pub(crate) python: Option<PathBuf>,
    /// Stands in for a Jaeger agent. Nothing reads from it, so that it takes no CPU time.
    agent: UdpSocket,
}

impl Peers {
    /// `program` is the service; `python` may be missing.
    pub(crate) fn find(program: &str, python: &str) -> Self {
        let has_grpcio = runs(Command::new(python).args(["-c", "import grpc, grpc_tools"]));
        Self {
            program: program.into(),
            node_exporter: runs(Command::new(NODE_EXPORTER).arg("--version")),
            python: has_grpcio.then(|| python.into()),
            agent: UdpSocket::bind("127.0.0.1:0").expect("a port is free"),
        }
    }

    /// Starts the service with this store and waits until it is ready.
    pub(crate) fn service(&self, store: &str) -> Service {
        let mut builder = Service::builder(&self.program).store(store);
        for (name, value) in self.environment() {
            builder = builder.env(name, value);
        }
        builder.start()
    }

    /// The Jaeger exporter is on by default; only the agent's port must be set.
    pub(crate) fn environment(&self) -> [(&'static str, String); 1] {
        let port = self.agent.local_addr().expect("it is bound").port();
        [("OTEL_EXPORTER_JAEGER_AGENT_PORT", port.to_string())]
    }

    pub(crate) fn node_exporter(&self) -> Option<NodeExporter> {
        self.node_exporter.then(NodeExporter::start)
    }

    /// The command line of a socket-activated node_exporter.
    pub(crate) fn activated_node_exporter(&self) -> Option<[&'static str; 3]> {
        self.node_exporter
            .then_some([NODE_EXPORTER, NODE_EXPORTER_FLAG, "--web.systemd-socket"])
    }

    pub(crate) fn measure_binary(&self, report: &mut Report) {
        let bytes = fs::metadata(&self.program).expect("it exists").len();
        let mebibytes = bytes as f64 / f64::from(1 << 20);
        report.at_most("stripped binary", mebibytes, 3.5, " MiB");
    }
}

/// Whether it can be run and succeeds.
pub(crate) fn runs(command: &mut Command) -> bool {
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A running node_exporter; dropping it kills it.
pub(crate) struct NodeExporter {
    child: Child,
    port: ReservedPort,
}

impl NodeExporter {
    fn start() -> Self {
        let port = ReservedPort::reserve();
        let child = Command::new(NODE_EXPORTER)
            .arg(NODE_EXPORTER_FLAG)
            .arg(format!("--web.listen-address={}", port.address()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("node_exporter is installed");
        let began = Instant::now();
        while TcpStream::connect(port.address()).is_err() {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "node_exporter does not listen"
            );
            sleep(Duration::from_millis(5));
        }
        Self { child, port }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage(self.child.id())
    }
}

impl Drop for NodeExporter {
    fn drop(&mut self) {
        // Fails only if the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
