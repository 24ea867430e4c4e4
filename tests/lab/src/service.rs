//! Runs the real program and uses its external interfaces: signals, HTTP, `sd_notify`, standard error.
//!
//! Every wait ends with the expected event. Timeouts are generous and only bound the waits; they never decide the result of a
//! test.

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

/// Timeout of every wait: much longer than anything takes on a busy machine.
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
    /// Reserved for as long as the service runs.
    _ports: Vec<ReservedPort>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BoundBy {
    Service,
    SocketActivate,
}

impl Service {
    /// A builder for a service with this program: `env!("CARGO_BIN_EXE_exp-rkt-grpc")` in tests.
    pub fn builder(program: impl Into<PathBuf>) -> Builder {
        Builder::new(program.into())
    }

    fn adopt(mut command: Command, sockets: Sockets, notify_socket: NotifySocket) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} does not start: {error}", command.get_program()));
        let source = child.stderr.take().expect("stderr is piped");
        let process = Process::adopt(child);
        let notified = notify_socket
            .handle()
            .expect("a descriptor can be duplicated");
        // A process that has ended sends no more notifications: shutting the socket down ends all waits for one.
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

    /// The process id; the same before and after socket activation.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The endpoint of its metrics.
    pub fn endpoint(&self) -> &Endpoint {
        &self.sockets.scraped
    }

    /// The TCP address of its metrics; panics if it listens on a Unix socket.
    pub fn address(&self) -> SocketAddr {
        match &self.sockets.scraped {
            Endpoint::Tcp(address) => *address,
            Endpoint::Unix(path) => panic!("the service listens on {}", path.display()),
        }
    }

    /// Waits for `READY=1`. If the service is socket-activated, a connection starts it first.
    #[track_caller]
    pub fn wait_until_ready(&self) {
        let _first = (self.sockets.bound_by == BoundBy::SocketActivate).then(|| {
            http::Connection::open(&self.sockets.scraped).unwrap_or_else(|error| {
                self.fail(&format!("cannot connect to the socket: {error}"))
            })
        });
        let is_ready = |notification: &Notification| notification.says("READY", "1");
        self.wait_for_notification(is_ready, PATIENCE);
    }

    /// Sends SIGQUIT, which triggers a query.
    #[track_caller]
    pub fn trigger(&self) {
        self.signal(Signal::QUIT);
    }

    /// Triggers a query, and returns the text of the next `STATUS=`: its outcome. If a query is running already, the text may be
    /// the outcome of that query.
    #[track_caller]
    pub fn query(&self) -> String {
        self.notify_socket.skip();
        self.trigger();
        self.wait_for_status(PATIENCE)
    }

    /// Sends a signal; panics if the process has ended.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        if let Err(error) = self.process.signal(signal) {
            self.fail(&format!("{signal:?} cannot be sent: {error}"));
        }
    }

    /// Stops all its threads with SIGSTOP, and waits until they have stopped.
    #[track_caller]
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        eventually("the service to stop", || {
            self.process.is_stopped().then_some(())
        });
    }

    /// Resumes it after [`freeze`](Self::freeze).
    #[track_caller]
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// All notifications that it has sent to systemd so far.
    pub fn notifications(&self) -> Vec<Notification> {
        self.notify_socket.seen()
    }

    /// The next notification; `None` if time runs out or the process has ended.
    pub fn next_notification(&self, within: Duration) -> Option<Notification> {
        self.notify_socket.next(within)
    }

    /// The next notification that `wanted` accepts; panics if none arrives.
    #[track_caller]
    pub fn wait_for_notification(
        &self,
        wanted: impl FnMut(&Notification) -> bool,
        within: Duration,
    ) -> Notification {
        match self.notify_socket.wait_for(wanted, within) {
            Some(notification) => notification,
            None => self.fail("the expected notification did not arrive"),
        }
    }

    /// The text of the next `STATUS=`; panics if none arrives.
    #[track_caller]
    pub fn wait_for_status(&self, within: Duration) -> String {
        let has_status = |notification: &Notification| notification.status().is_some();
        let notification = self.wait_for_notification(has_status, within);
        notification.status().unwrap_or_default().to_owned()
    }

    /// Scrapes `/metrics` on a new connection; panics unless the response has status 200 and is well-formed.
    #[track_caller]
    pub fn scrape(&self) -> Scrape {
        let response = self.get("/metrics");
        assert_eq!(response.status, 200, "{response:?}");
        match Scrape::parse(response.text()) {
            Ok(scrape) => scrape,
            Err(error) => panic!("{error:?} in:\n{}", response.text()),
        }
    }

    /// GETs a path on a new connection; panics if there is no response.
    #[track_caller]
    pub fn get(&self, path: &str) -> http::Response {
        http::get(&self.sockets.scraped, path)
            .unwrap_or_else(|error| self.fail(&format!("GET {path}: {error}")))
    }

    /// Sends these bytes on a new connection; returns all bytes until the service closes it.
    #[track_caller]
    pub fn request(&self, bytes: &[u8]) -> Vec<u8> {
        let exchange = || {
            let mut connection = http::Connection::open(&self.sockets.scraped)?;
            connection.send(bytes)?;
            connection.read_to_close()
        };
        exchange().unwrap_or_else(|error: io::Error| self.fail(&format!("no response: {error}")))
    }

    /// Its standard error so far; complete after [`Service::wait`] has returned.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until `complete` accepts the whole standard error, and returns it; panics if that does not happen.
    #[track_caller]
    pub fn wait_for_stderr(&self, complete: impl FnMut(&str) -> bool, within: Duration) -> String {
        match self.stderr.wait_for(complete, within) {
            Some(text) => text,
            None => self.fail("the expected output on standard error did not arrive"),
        }
    }

    /// Waits until it ends by itself and all its output and notifications have been read; panics if it does not end.
    #[track_caller]
    pub fn wait(&self, within: Duration) -> ExitStatus {
        let Some(status) = self.process.wait(within) else {
            self.fail(&format!("the service has not ended after {within:?}"));
        };
        self.stderr.wait_for_end(PATIENCE);
        self.notify_socket.wait_for_end(PATIENCE);
        status
    }

    /// Stops it with SIGTERM and waits until it has ended.
    #[track_caller]
    pub fn stop(&self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait(PATIENCE)
    }

    /// The number of its threads.
    pub fn threads(&self) -> usize {
        self.process.threads()
    }

    /// The number of its open file descriptors.
    pub fn fds(&self) -> usize {
        self.process.fds()
    }

    /// Its peak resident memory in bytes. The kernel's figure is approximate and can even decrease by some pages: see "VmRSS" in
    /// proc_pid_status(5).
    pub fn peak_memory(&self) -> u64 {
        self.process.peak_memory()
    }

    /// The current sleep of its event loop; `None` if the loop is not asleep.
    pub fn sleep(&self) -> Option<Sleep> {
        self.process.sleep()
    }

    /// Waits until its event loop sleeps without a timer. Then it has no unfinished work, and the number of its descriptors has
    /// settled: after readiness it still holds those of its first record for a moment. Open connections and a watchdog have timers.
    #[track_caller]
    pub fn wait_until_idle(&self) {
        eventually("a sleep without an end", || {
            (self.sleep() == Some(Sleep::UntilSomethingHappens)).then_some(())
        });
    }

    /// Waits until `systemd-socket-activate` has bound this many sockets.
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

/// Runs a program until it ends, with only `PATH` and `environment` in its environment.
///
/// Panics with its standard error if it runs for longer than [`PATIENCE`].
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
    let stdout = Transcript::of(child.stdout.take().expect("stdout is piped"), || ());
    let stderr = Transcript::of(child.stderr.take().expect("stderr is piped"), || ());
    let Some(status) = Process::adopt(child).wait(PATIENCE) else {
        panic!(
            "the program does not end; standard error:\n{}",
            stderr.text()
        );
    };
    Output {
        status,
        stdout: stdout.wait_for_end(PATIENCE),
        stderr: stderr.wait_for_end(PATIENCE),
    }
}

#[cfg(test)]
mod tests;
