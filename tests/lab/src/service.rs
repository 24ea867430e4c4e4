//! Runs the real program as its users do, and speaks the wire to it: signals, HTTP, `sd_notify`, standard error.
//!
//! Waits end with the event that they wait for; time only bounds them, generously, and never decides a test.

mod builder;
pub mod http;
mod notify_socket;
mod port;
pub(crate) mod process;
mod transcript;
mod watched;

use std::ffi::OsStr;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

pub use builder::{Activation, Builder, Listen};
pub use http::Endpoint;
pub use notify_socket::{Notification, NotifySocket};
pub use port::ReservedPort;
pub use process::Sleep;
pub use rustix::process::Signal;

use crate::exposition::Scrape;
use crate::poll::eventually;
use builder::clean_command;
use process::Process;
use transcript::Transcript;

/// How long to wait for anything before giving it up as lost: much longer than it takes on a machine that is busy with something
/// else, so that only what never comes is given up.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The running program. Dropping it kills it.
#[derive(Debug)]
pub struct Service {
    process: Process,
    sockets: Sockets,
    notify_socket: NotifySocket,
    stderr: Transcript,
}

/// What the service listens on.
#[derive(Debug)]
struct Sockets {
    scraped: Endpoint,
    bound_by: BoundBy,
    /// Kept from everybody else for as long as the service runs.
    _ports: Vec<ReservedPort>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BoundBy {
    Service,
    SocketActivate,
}

impl Service {
    /// A service to be started from this program: `env!("CARGO_BIN_EXE_exp-rkt-grpc")` in tests.
    pub fn builder(program: impl Into<PathBuf>) -> Builder {
        Builder::new(program.into())
    }

    fn adopt(mut command: Command, sockets: Sockets, notify_socket: NotifySocket) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} does not start: {error}", command.get_program()));
        let source = child.stderr.take().expect("it was asked for");
        let process = Process::adopt(child);
        let notified = notify_socket
            .handle()
            .expect("a descriptor can be duplicated");
        // A process that has ended notifies nothing: whoever waits for it is told at once.
        let stderr = Transcript::of(source, move || {
            let _ = notified.shutdown(Shutdown::Both);
        });
        Self {
            process,
            sockets,
            notify_socket,
            stderr,
        }
    }

    /// The process's number; the same before and after a socket activation.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Where it is scraped.
    pub fn endpoint(&self) -> &Endpoint {
        &self.sockets.scraped
    }

    /// Where it is scraped, over TCP; panics when that is a Unix socket.
    pub fn address(&self) -> SocketAddr {
        match &self.sockets.scraped {
            Endpoint::Tcp(address) => *address,
            Endpoint::Unix(path) => panic!("the service listens at {}", path.display()),
        }
    }

    /// Waits for `READY=1`; wakes the service by a connection first when it is socket-activated.
    #[track_caller]
    pub fn wait_until_ready(&self) {
        let _first = (self.sockets.bound_by == BoundBy::SocketActivate).then(|| {
            http::Connection::open(&self.sockets.scraped)
                .unwrap_or_else(|error| self.fail(&format!("no socket to connect to: {error}")))
        });
        self.wait_for_notification(|heard| heard.says("READY", "1"), PATIENCE);
    }

    /// Sends SIGQUIT: ask the store now.
    #[track_caller]
    pub fn trigger(&self) {
        self.signal(Signal::QUIT);
    }

    /// Triggers, and returns the text of the `STATUS=` that follows: the outcome of a query. While one is running already,
    /// that may be the outcome of the earlier one.
    #[track_caller]
    pub fn query(&self) -> String {
        self.notify_socket.skip();
        self.trigger();
        self.wait_for_status(PATIENCE)
    }

    /// Sends a signal; panics when the process is gone.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        if let Err(error) = self.process.signal(signal) {
            self.fail(&format!("{signal:?} cannot be sent: {error}"));
        }
    }

    /// Stops all its threads where they are, and returns when they have.
    #[track_caller]
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        eventually("the stop", || self.process.is_stopped().then_some(()));
    }

    /// Lets it go on.
    #[track_caller]
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Everything it has told systemd so far.
    pub fn notifications(&self) -> Vec<Notification> {
        self.notify_socket.seen()
    }

    /// The next notification in turn; `None` when time runs out or the process has ended.
    pub fn next_notification(&self, within: Duration) -> Option<Notification> {
        self.notify_socket.next(within)
    }

    /// The next notification that `wanted` accepts; panics when none comes.
    #[track_caller]
    pub fn wait_for_notification(
        &self,
        wanted: impl FnMut(&Notification) -> bool,
        within: Duration,
    ) -> Notification {
        match self.notify_socket.wait_for(wanted, within) {
            Some(notification) => notification,
            None => self.fail("the notification that was waited for did not come"),
        }
    }

    /// The text of the next `STATUS=`; panics when none comes.
    #[track_caller]
    pub fn wait_for_status(&self, within: Duration) -> String {
        let notification = self.wait_for_notification(|heard| heard.status().is_some(), within);
        notification.status().unwrap_or_default().to_owned()
    }

    /// GETs `/metrics` on a connection of its own and reads it; panics unless it is 200 and well-formed.
    #[track_caller]
    pub fn scrape(&self) -> Scrape {
        let response = self.get("/metrics");
        assert_eq!(response.status, 200, "{response:?}");
        match Scrape::parse(response.text()) {
            Ok(scrape) => scrape,
            Err(error) => panic!("{error:?} in:\n{}", response.text()),
        }
    }

    /// GETs a path on a connection of its own; panics when there is no answer.
    #[track_caller]
    pub fn get(&self, path: &str) -> http::Response {
        http::get(&self.sockets.scraped, path)
            .unwrap_or_else(|error| self.fail(&format!("GET {path}: {error}")))
    }

    /// Sends these bytes on a connection of its own; returns what comes until the service closes it.
    #[track_caller]
    pub fn request(&self, bytes: &[u8]) -> Vec<u8> {
        let exchange = || {
            let mut connection = http::Connection::open(&self.sockets.scraped)?;
            connection.send(bytes)?;
            connection.read_to_close()
        };
        exchange().unwrap_or_else(|error: io::Error| self.fail(&format!("no response: {error}")))
    }

    /// What it has written to standard error so far; all of it once [`Service::wait`] has returned.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until standard error as a whole satisfies `complete`, and returns it; panics when it does not come to that.
    #[track_caller]
    pub fn wait_for_stderr(&self, complete: impl FnMut(&str) -> bool, within: Duration) -> String {
        match self.stderr.wait_for(complete, within) {
            Some(text) => text,
            None => self.fail("what was waited for on standard error did not come"),
        }
    }

    /// Waits until it ends by itself, and all that it has said is heard; panics when it does not.
    #[track_caller]
    pub fn wait(&self, within: Duration) -> ExitStatus {
        let Some(status) = self.process.wait(within) else {
            self.fail(&format!("it has not ended after {within:?}"));
        };
        self.stderr.wait_for_end(PATIENCE);
        self.notify_socket.wait_for_end(PATIENCE);
        status
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    #[track_caller]
    pub fn stop(&self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait(PATIENCE)
    }

    /// How many threads it has.
    pub fn threads(&self) -> usize {
        self.process.threads()
    }

    /// How many file descriptors it holds.
    pub fn fds(&self) -> usize {
        self.process.fds()
    }

    /// The most memory that it has held at a time since it began, in bytes. The kernel counts roughly, so that this can become
    /// less by some pages: see "VmRSS" in proc_pid_status(5).
    pub fn peak_memory(&self) -> u64 {
        self.process.peak_memory()
    }

    /// How the loop sleeps at this moment; `None` while it does not.
    pub fn sleep(&self) -> Option<Sleep> {
        self.process.sleep()
    }

    /// `systemd-socket-activate` has bound this many sockets.
    #[track_caller]
    fn wait_for_sockets(&self, count: usize) {
        let bound = |text: &str| text.matches("Listening on ").count() >= count;
        self.wait_for_stderr(bound, PATIENCE);
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        panic!("{what}; standard error:\n{}", self.stderr());
    }
}

/// Runs a program that ends by itself, in an environment of `PATH` and `environment` only.
///
/// Panics with its standard error when it runs for longer than [`PATIENCE`].
#[track_caller]
pub fn run<A: AsRef<OsStr>>(
    program: impl AsRef<Path>,
    arguments: impl IntoIterator<Item = A>,
    environment: &[(&str, &str)],
) -> Output {
    let mut child = clean_command(program.as_ref())
        .args(arguments)
        .envs(environment.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{:?} does not start: {error}", program.as_ref()));
    let stdout = Transcript::of(child.stdout.take().expect("it was asked for"), || ());
    let stderr = Transcript::of(child.stderr.take().expect("it was asked for"), || ());
    let Some(status) = Process::adopt(child).wait(PATIENCE) else {
        panic!("it does not end; standard error:\n{}", stderr.text());
    };
    Output {
        status,
        stdout: stdout.wait_for_end(PATIENCE),
        stderr: stderr.wait_for_end(PATIENCE),
    }
}

#[cfg(test)]
mod tests;
