//! Throw-away machines: Debian 12 under a systemd that is really booted, in a network of its own.
//!
//! `tests/lab/sdbox` boots them, and says how, from the root that `tests/lab/debian` makes: what is installed on this host
//! meanwhile changes nothing there. A machine lives as long as its [`Machine`]; when the test process is killed, the
//! machine ends with it, and should even its holder be killed, the next test process removes what is left.

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

/// A booted machine. Dropping it pulls the plug.
#[derive(Debug)]
pub struct Machine {
    name: String,
    leader: u32,
    network: File,
    /// Holds the machine for as long as its standard input is open.
    holder: Child,
    _slot: Slot,
}

impl Machine {
    /// Whether this host can boot machines: root can, with systemd-nspawn and mmdebstrap.
    ///
    /// Says loudly why not; with `CI` set that is a panic.
    #[track_caller]
    pub fn possible() -> bool {
        files().is_some()
    }

    /// Boots a machine, when this host can; at most two exist at the same time, and this waits until there is room.
    ///
    /// `None` where it is not [`possible`](Self::possible). Panics when the machine does not boot.
    #[track_caller]
    pub fn boot(name: &str) -> Option<Self> {
        Self::boot_with(name, [""; 0])
    }

    /// As [`Machine::boot`], with arguments for systemd-nspawn(1).
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
            // What is typed at the terminal is meant for the tests, which then let go of their machines.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{SDBOX} does not start: {error}"));
        let mut leader = String::new();
        BufReader::new(holder.stdout.take().expect("it was asked for"))
            .read_line(&mut leader)
            .expect("the holder writes text");
        let Ok(leader) = leader.trim_end().parse() else {
            // What went wrong is on standard error.
            let _ = holder.wait();
            panic!("the machine {name} does not boot");
        };
        let network =
            File::open(format!("/proc/{leader}/ns/net")).expect("its leader runs and is ours");
        Self {
            name,
            leader,
            network,
            holder,
            _slot: slot,
        }
    }

    /// Where one of its files is seen from here.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        let below_root = path.strip_prefix("/").unwrap_or(path);
        Path::new(&format!("/proc/{}/root", self.leader)).join(below_root)
    }

    /// Writes a file that everybody may read, and makes the folders above it.
    #[track_caller]
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let outside = self.path(path);
        let written = make_parent(&outside).and_then(|()| fs::write(&outside, content));
        written.unwrap_or_else(|error| panic!("{path} cannot be written: {error}"));
    }

    /// Takes over a file of the host's, to be executed by everybody.
    #[track_caller]
    pub fn install(&self, program: &Path, path: &str) {
        let outside = self.path(path);
        // A program that runs cannot be written to, but replaced.
        let beside = outside.with_extension("new");
        let placed = make_parent(&outside)
            .and_then(|()| fs::copy(program, &beside))
            .and_then(|_| fs::set_permissions(&beside, Permissions::from_mode(0o755)))
            .and_then(|()| fs::rename(&beside, &outside));
        placed.unwrap_or_else(|error| panic!("{path} cannot be installed: {error}"));
    }

    /// Runs a command inside, as root.
    ///
    /// Panics when it runs for longer than [`service::PATIENCE`].
    #[track_caller]
    pub fn run<A: AsRef<OsStr>>(&self, command: impl IntoIterator<Item = A>) -> Output {
        let mut arguments: Vec<OsString> = vec!["in".into(), self.name.clone().into()];
        arguments.extend(command.into_iter().map(|word| word.as_ref().to_owned()));
        service::run(SDBOX, arguments, &[])
    }

    /// Runs a command inside, as words between spaces; panics unless it succeeds. Returns its standard output, trimmed.
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

    /// One property of a unit, as `systemctl show` has it.
    #[track_caller]
    pub fn property(&self, unit: &str, property: &str) -> String {
        self.succeed(&format!(
            "systemctl show --property={property} --value {unit}"
        ))
    }

    /// The journal's entries that match, once everything sent to it is in it.
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

    /// Processor time that everything in the machine has used so far. What runs in its [`network`](Self::network) only does not
    /// count, nor does what [`run`](Self::run) starts itself.
    #[track_caller]
    pub fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(self.path("/sys/fs/cgroup/cpu.stat"));
        let stat = stat.expect("every cgroup but the host's root has it");
        let used = stat
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec "));
        let micros = used.and_then(|micros| micros.parse().ok());
        Duration::from_micros(micros.expect("it is a number"))
    }

    /// Does something in the machine's network, in a thread of its own. Sockets and threads made there stay there.
    pub fn network<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(self.network.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("root may enter a network that it holds open");
                work()
            });
            inside
                .join()
                .unwrap_or_else(|why| panic::resume_unwind(why))
        })
    }

    /// Shuts it down in order; panics when it does not come to that.
    #[track_caller]
    pub fn power_off(mut self) {
        let asked = self
            .holder
            .stdin
            .as_mut()
            .expect("held open")
            .write_all(b"poweroff\n");
        let ended = asked.and_then(|()| self.holder.wait());
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
        // Nothing can be done about a holder that fails, and the next run removes what it leaves.
        let _ = self.holder.wait();
    }
}

/// What machines boot from; `None` where none can be booted.
#[track_caller]
fn files() -> Option<&'static Path> {
    possible::possible()
        .then(|| debian::root(Suite::Bookworm))
        .flatten()
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

#[cfg(test)]
mod tests;
