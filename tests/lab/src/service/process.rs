//! A child process: signalled, waited for, looked at, and never left behind.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::Mutex;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Result, retry_on_intr};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Killed and reaped when it is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Mutex<Child>,
    pid: u32,
    /// Names the process also after it has ended, when its number may be another's.
    pidfd: OwnedFd,
}

impl Process {
    pub(super) fn adopt(child: Child) -> Self {
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())
            .expect("a child that is not reaped exists");
        Self {
            pid: child.id(),
            child: Mutex::new(child),
            pidfd,
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        pidfd_send_signal(&self.pidfd, signal)
    }

    /// How it ended, or `None` when it still runs after that time.
    pub(super) fn wait(&self, within: Duration) -> Option<ExitStatus> {
        let timeout = Timespec::try_from(within).expect("a bound is not centuries long");
        let mut ended = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let ready = retry_on_intr(|| poll(&mut ended, Some(&timeout)))
            .expect("a process descriptor can be polled");
        (ready == 1).then(|| self.reap())
    }

    pub(super) fn threads(&self) -> usize {
        self.entries("task").len()
    }

    pub(super) fn fds(&self) -> usize {
        self.entries("fd").len()
    }

    pub(super) fn peak_memory(&self) -> u64 {
        let status = PathBuf::from(format!("/proc/{}/status", self.pid));
        number_of(&status, "VmHWM:") * 1024
    }

    pub(super) fn voluntary_ctxt_switches(&self) -> u64 {
        self.entries("task")
            .iter()
            .map(|thread| number_of(&thread.join("status"), "voluntary_ctxt_switches:"))
            .sum()
    }

    fn entries(&self, folder: &str) -> Vec<PathBuf> {
        fs::read_dir(format!("/proc/{}/{folder}", self.pid))
            .expect("the process runs and is ours")
            .map(|entry| entry.expect("the folder can be read").path())
            .collect()
    }

    fn reap(&self) -> ExitStatus {
        let mut child = self.child.lock().expect("no thread panics while it reaps");
        child.wait().expect("it is our child")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if it is gone already.
        let _ = self.signal(Signal::KILL);
        self.reap();
    }
}

/// See proc(5); a size is in kB.
fn number_of(status: &Path, name: &str) -> u64 {
    fs::read_to_string(status)
        .expect("the process runs")
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|number| number.trim().trim_end_matches(" kB").parse().ok())
        .expect("every status tells it")
}
