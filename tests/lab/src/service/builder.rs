//! Configures and starts the service.

use std::env;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{BoundBy, Endpoint, NotifySocket, ReservedPort, Service, Sockets};

/// The address that the service binds itself.
#[derive(Clone, Copy, Debug, Default)]
pub enum Listen {
    /// `--listen` with a free loopback port.
    #[default]
    FreePort,
    /// `--listen` with this address.
    Flag(SocketAddr),
    /// The variable `EXP_RKT_GRPC_LISTEN` instead of the flag.
    Variable(SocketAddr),
}

/// The sockets that `systemd-socket-activate` passes to the service, which is then started without `--listen`.
#[derive(Clone, Debug)]
pub struct Activation {
    name: String,
    unix: Option<PathBuf>,
    before: Vec<String>,
}

impl Activation {
    /// One socket on a free loopback port, named `metrics`.
    pub fn tcp() -> Self {
        Self {
            name: "metrics".to_owned(),
            unix: None,
            before: Vec::new(),
        }
    }

    /// One Unix stream socket at this path, named `metrics`.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self {
            unix: Some(path.into()),
            ..Self::tcp()
        }
    }

    /// Gives the socket another name.
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// Passes another TCP socket with this name before it.
    pub fn preceded_by(mut self, name: &str) -> Self {
        self.before.push(name.to_owned());
        self
    }
}

/// Settings of a service. Its environment has only `PATH`, `NOTIFY_SOCKET` and the variables that are set here.
#[derive(Debug)]
pub struct Builder {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    listen: Listen,
    activation: Option<Activation>,
    supervised: bool,
}

impl Builder {
    pub(super) fn new(program: PathBuf) -> Self {
        Self {
            program,
            arguments: Vec::new(),
            environment: Vec::new(),
            listen: Listen::default(),
            activation: None,
            supervised: true,
        }
    }

    /// Adds `--store` with this value, such as `rkt+http://127.0.0.1:15441`.
    pub fn store(self, store: impl AsRef<OsStr>) -> Self {
        self.arg("--store").arg(store)
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the address that the service binds itself; the default is a free port.
    pub fn listen(mut self, listen: Listen) -> Self {
        self.listen = listen;
        self
    }

    /// Starts the service by socket activation, at the first connection.
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = Some(activation);
        self
    }

    /// Enables the watchdog with this period (`WATCHDOG_USEC`).
    pub fn watchdog(self, period: Duration) -> Self {
        self.env("WATCHDOG_USEC", period.as_micros().to_string())
    }

    /// Leaves `NOTIFY_SOCKET` out, as in a terminal. The service then sends no notifications, so use `spawn`.
    pub fn unsupervised(mut self) -> Self {
        self.supervised = false;
        self
    }

    /// Starts the service and waits until it is ready. With socket activation, a first connection starts it.
    ///
    /// Panics with its standard error if it ends or takes longer than [`super::PATIENCE`].
    #[track_caller]
    pub fn start(self) -> Service {
        let service = self.spawn();
        service.wait_until_ready();
        service
    }

    /// Starts the service without waiting until it is ready. With socket activation, it starts at the first connection.
    #[track_caller]
    pub fn spawn(mut self) -> Service {
        let notify_socket = NotifySocket::bind();
        if self.supervised {
            self = self.env("NOTIFY_SOCKET", notify_socket.path());
        }
        match self.activation.take() {
            Some(activation) => self.spawn_activated(&activation, notify_socket),
            None => self.spawn_directly(notify_socket),
        }
    }

    fn spawn_directly(mut self, notify_socket: NotifySocket) -> Service {
        let mut ports = Vec::new();
        let address = match self.listen {
            Listen::FreePort => {
                ports.push(ReservedPort::reserve());
                ports[0].address()
            }
            Listen::Flag(address) | Listen::Variable(address) => address,
        };
        self = match self.listen {
            Listen::Variable(_) => self.env("EXP_RKT_GRPC_LISTEN", address.to_string()),
            _ => self.arg("--listen").arg(address.to_string()),
        };
        let mut command = clean_command(&self.program);
        command.args(&self.arguments).envs(self.environment);
        let sockets = Sockets {
            scraped: address.into(),
            bound_by: BoundBy::Service,
            _ports: ports,
        };
        Service::adopt(command, sockets, notify_socket)
    }

    #[track_caller]
    fn spawn_activated(self, activation: &Activation, notify_socket: NotifySocket) -> Service {
        let mut command = clean_command(&socket_activate());
        let mut ports = Vec::new();
        let mut listen_on_free_port = |command: &mut Command| {
            let port = ReservedPort::reserve();
            let address = port.address();
            command.arg(format!("--listen={address}"));
            ports.push(port);
            Endpoint::from(address)
        };
        for _ in &activation.before {
            listen_on_free_port(&mut command);
        }
        let scraped = match &activation.unix {
            Some(path) => {
                command.arg("--listen").arg(path);
                Endpoint::from(path.as_path())
            }
            None => listen_on_free_port(&mut command),
        };
        for name in activation.before.iter().chain([&activation.name]) {
            command.arg(format!("--fdname={name}"));
        }
        // The service's environment has only the variables that --setenv passes.
        for (name, value) in &self.environment {
            let mut assignment = name.clone();
            assignment.push("=");
            assignment.push(value);
            command.arg("--setenv").arg(assignment);
        }
        command.arg(&self.program).args(&self.arguments);
        let sockets = Sockets {
            scraped,
            bound_by: BoundBy::SocketActivate,
            _ports: ports,
        };
        let service = Service::adopt(command, sockets, notify_socket);
        service.wait_for_sockets(activation.before.len() + 1);
        service
    }
}

/// A command with only `PATH` in its environment, and an empty standard input.
pub(super) fn clean_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null());
    command
}

fn socket_activate() -> PathBuf {
    ["/usr/bin", "/bin", "/usr/lib/systemd", "/lib/systemd"]
        .iter()
        .map(|folder| Path::new(folder).join("systemd-socket-activate"))
        .find(|path| path.exists())
        .expect("systemd-socket-activate is installed (Debian: systemd)")
}
