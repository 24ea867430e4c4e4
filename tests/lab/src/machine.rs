//! Throw-away machines: a Debian [suite](Suite::of_machines) with a booted systemd, in its own network namespace.
//!
//! `tests/lab/sdbox` boots them from the root that `tests/lab/debian` makes, so that package installations on this host do not
//! affect them. A machine ends when its [`Machine`] is dropped or the test process is killed. If its holder is killed, the next
//! test process removes the remains.

mod possible;
mod slots;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Once;
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use crate::debian::{self, Suite};
use crate::service;
use slots::Slot;

/// The launcher.
const SDBOX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sdbox");

/// A booted machine. Dropping it kills all its processes.
#[derive(Debug)]
pub struct Machine {
    name: String,
    leader: u32,
    network: File,
    /// Ends the machine when its standard input is closed.
    holder: Child,
    _slot: Slot,
}

impl Machine {
    /// Whether this host can boot machines. That needs root, systemd-nspawn and mmdebstrap.
    ///
    /// Prints a warning with the reason if not; panics if `CI` is set.
    #[track_caller]
    pub fn possible() -> bool {
        files().is_some()
    }

    /// Boots a machine. At most two exist at the same time; further calls wait.
    ///
    /// `None` if this host cannot boot machines, see [`possible`](Self::possible). Panics if the machine does not boot.
    #[track_caller]
    pub fn boot(name: &str) -> Option<Self> {
        Self::boot_with(name, [""; 0])
    }

    /// Like [`Machine::boot`], with arguments for systemd-nspawn(1).
    #[track_caller]
    pub fn boot_with<A: AsRef<OsStr>>(
        name: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Option<Self> {
        files().map(|files| Self::hold(name, files, arguments))
    }

    #[track_caller]
    fn hold<A: AsRef<OsStr>>(
        name: &str,
        files: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        static REAPED: Once = Once::new();
        REAPED.call_once(|| {
            service::run(SDBOX, ["reap"], &[]);
        });
        let slot = Slot::take();
        let name = format!("{name}-{}", std::process::id());
        let mut holder = Command::new(SDBOX)
            .args(["hold", &name])
            .arg(files)
            .args(arguments)
            .env_remove("SDBOX_DIR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // ctrl-c in the terminal must reach only the tests, which then end their machines.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{SDBOX} does not start: {error}"));
        let mut leader = String::new();
        BufReader::new(holder.stdout.take().expect("stdout is piped"))
            .read_line(&mut leader)
            .expect("the holder writes text");
        let Ok(leader) = leader.trim_end().parse() else {
            // The holder has printed the reason to standard error.
            let _ = holder.wait();
            panic!("the machine {name} does not boot");
        };
        let network =
            File::open(format!("/proc/{leader}/ns/net")).expect("the leader runs as our user");
        Self {
            name,
            leader,
            network,
            holder,
            _slot: slot,
        }
    }

    /// The path of one of its files on this host.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        let below_root = path.strip_prefix("/").unwrap_or(path);
        Path::new(&format!("/proc/{}/root", self.leader)).join(below_root)
    }

    /// Writes a world-readable file, and creates its parent folders.
    #[track_caller]
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let outside = self.path(path);
        let written = make_parent(&outside).and_then(|()| fs::write(&outside, content));
        written.unwrap_or_else(|error| panic!("{path} cannot be written: {error}"));
    }

    /// Copies an executable file from this host, with mode 0755.
    #[track_caller]
    pub fn install(&self, program: &Path, path: &str) {
        let outside = self.path(path);
        // A running program cannot be written to, but it can be replaced.
        let new = outside.with_extension("new");
        let installed = make_parent(&outside)
            .and_then(|()| fs::copy(program, &new))
            .and_then(|_| fs::set_permissions(&new, Permissions::from_mode(0o755)))
            .and_then(|()| fs::rename(&new, &outside));
        installed.unwrap_or_else(|error| panic!("{path} cannot be installed: {error}"));
    }

    /// Runs a command in the machine, as root.
    ///
    /// Panics if it runs for longer than [`service::PATIENCE`].
    #[track_caller]
    pub fn run<A: AsRef<OsStr>>(&self, command: impl IntoIterator<Item = A>) -> Output {
        let mut arguments: Vec<OsString> = vec!["in".into(), self.name.clone().into()];
        arguments.extend(command.into_iter().map(|word| word.as_ref().to_owned()));
        service::run(SDBOX, arguments, &[])
    }

    /// Runs a command in the machine and returns its trimmed standard output. The command is split at spaces. Panics if it fails.
    #[track_caller]
    pub fn succeed(&self, command: &str) -> String {
        let output = self.run(command.split_whitespace());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        assert!(
            output.status.success(),
            "{command}: {}\n{}\n{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// A property of a unit, from `systemctl show`.
    #[track_caller]
    pub fn property(&self, unit: &str, property: &str) -> String {
        self.succeed(&format!(
            "systemctl show --property={property} --value {unit}"
        ))
    }

    /// The matching entries of the journal, after `journalctl --sync`.
    #[track_caller]
    pub fn journal<A: AsRef<OsStr>>(&self, matches: impl IntoIterator<Item = A>) -> Vec<Value> {
        self.succeed("journalctl --sync");
        let mut command: Vec<OsString> = ["journalctl", "--all", "--output=json"]
            .map(Into::into)
            .into();
        command.extend(matches.into_iter().map(|word| word.as_ref().to_owned()));
        let output = self.run(command);
        assert!(output.status.success(), "{output:?}");
        let lines = output.stdout.split(|byte| *byte == b'\n');
        lines
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).expect("journalctl writes JSON lines"))
            .collect()
    }

    /// The CPU time of all processes in the machine so far. Threads in its [`network`](Self::network) and commands of
    /// [`run`](Self::run) do not count.
    #[track_caller]
    pub fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(self.path("/sys/fs/cgroup/cpu.stat"));
        let stat = stat.expect("every cgroup except the host's root has this file");
        let used = stat
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec "));
        let micros = used.and_then(|micros| micros.parse().ok());
        Duration::from_micros(micros.expect("usage_usec is a number"))
    }

    /// Runs `work` in a new thread in the machine's network namespace. Its sockets and threads stay in that namespace.
    pub fn network<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(self.network.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("root may enter a network namespace that it holds open");
                work()
            });
            inside
                .join()
                .unwrap_or_else(|why| panic::resume_unwind(why))
        })
    }

    /// Shuts the machine down cleanly; panics if that fails.
    #[track_caller]
    pub fn power_off(mut self) {
        let requested = self
            .holder
            .stdin
            .as_mut()
            .expect("stdin is open until drop")
            .write_all(b"poweroff\n");
        let ended = requested.and_then(|()| self.holder.wait());
        assert!(
            ended.is_ok_and(|status| status.success()),
            "{} does not shut down",
            self.name
        );
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // A failure of the holder is ignored: the next run removes the remains.
        let _ = self.holder.wait();
    }
}

/// The root that machines boot from; `None` if this host cannot boot machines.
#[track_caller]
fn files() -> Option<&'static Path> {
    possible::possible()
        .then(|| debian::root(Suite::of_machines()))
        .flatten()
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

#[cfg(test)]
mod tests;
