//! The service as a child process. It never outlives the demo.

use std::env;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use lab::service::Signal;
use rustix::process::{Pid, kill_process};

use crate::{Break, Step};

const NAME: &str = "exp-rkt-grpc";

/// Killed and reaped when it is dropped.
#[derive(Debug)]
pub(super) struct Service(Child);

/// The settings that differ from the service's defaults.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(&'static str, String)>,
}

impl Settings {
    /// The shell command that starts the service with these settings.
    pub(super) fn command(&self) -> String {
        let variables = self
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={value} \\\n    "));
        let arguments = self.arguments.iter().map(|argument| format!(" {argument}"));
        variables
            .chain([NAME.to_owned()])
            .chain(arguments)
            .collect()
    }
}

impl Service {
    /// Starts the program that was built together with the demo; also returns its standard error.
    ///
    /// The service gets its own process group, so that ctrl-c in a terminal reaches only the demo, which passes it on. A second
    /// SIGINT would abort the service.
    pub(super) fn start(settings: &Settings) -> Step<(Self, ChildStderr)> {
        let program = program()?;
        let mut child = Command::new(&program)
            .args(&settings.arguments)
            .env_clear()
            .envs(
                settings
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(Break::because("the service does not start"))?;
        let stderr = child.stderr.take();
        let service = Self(child);
        let missing = || Break::Failed("the service has no standard error".to_owned());
        Ok((service, stderr.ok_or_else(missing)?))
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// The process has not been reaped yet, so its number cannot belong to another process.
    pub(super) fn signal(&self, signal: Signal) -> Step {
        kill_process(Pid::from_child(&self.0), signal)
            .map_err(Break::because("cannot send a signal to the service"))
    }

    /// Waits until it ends; returns its exit status.
    pub(super) fn wait(&mut self) -> Step<ExitStatus> {
        self.0
            .wait()
            .map_err(Break::because("cannot read the service's exit status"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail only if the process has been reaped already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Cargo puts examples in a subfolder of the programs' folder.
fn program() -> Step<PathBuf> {
    let demo = env::current_exe().map_err(Break::because("cannot find the demo's own path"))?;
    let built = demo.ancestors().nth(2).map(|folder| folder.join(NAME));
    built.filter(|program| program.is_file()).ok_or_else(|| {
        Break::Failed(format!(
            "the service is not built: run `make demo`, or `cargo build --bin {NAME}` first"
        ))
    })
}
