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

/// How a loop sleeps that waits in epoll_wait(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// No timer runs.
    UntilSomethingHappens,
    /// The next timer ends after that time, counted from when the sleep began.
    Until(Duration),
}

/// The numbers of epoll_wait(2) and epoll_pwait(2).
#[cfg(target_arch = "x86_64")]
const EPOLL_WAITS: [&str; 2] = ["232", "281"];
#[cfg(target_arch = "aarch64")]
const EPOLL_WAITS: [&str; 1] = ["22"];

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

    /// What the main thread waits for: the arguments of epoll_wait(2) in `/proc/PID/syscall`, see proc_pid_syscall(5).
    pub(super) fn sleep(&self) -> Option<Sleep> {
        const TIMEOUT: usize = 4;
        let call = fs::read_to_string(format!("/proc/{}/syscall", self.pid))
            .expect("the process runs and is ours");
        let words: Vec<&str> = call.split(' ').collect();
        if !EPOLL_WAITS.contains(words.first()?) {
            return None;
        }
        let timeout = words.get(TIMEOUT)?.strip_prefix("0x")?;
        let timeout = u64::from_str_radix(timeout, 16).expect("the kernel writes hexadecimal");
        // An int of the C language: -1 is no timeout.
        Some(match i32::try_from(timeout as u32) {
            Ok(millis) => Sleep::Until(Duration::from_millis(millis.unsigned_abs().into())),
            Err(_) => Sleep::UntilSomethingHappens,
        })
    }

    pub(super) fn is_stopped(&self) -> bool {
        is_stopped(self.pid)
    }

    fn entries(&self, folder: &str) -> Vec<PathBuf> {
        entries(self.pid, folder)
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

/// Whether each thread of the process has been stopped by a signal: see proc_pid_stat(5).
pub(crate) fn is_stopped(pid: u32) -> bool {
    entries(pid, "task").iter().all(|thread| {
        fs::read_to_string(thread.join("stat")).is_ok_and(|stat| stat.contains(") T "))
    })
}

fn entries(pid: u32, folder: &str) -> Vec<PathBuf> {
    fs::read_dir(format!("/proc/{pid}/{folder}"))
        .expect("the process runs and is ours")
        .map(|entry| entry.expect("the folder can be read").path())
        .collect()
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
