//! A child process: signals, waits and inspection. It never outlives its handle.

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
    /// Refers to the process even after it has ended, when another process may get its number.
    pidfd: OwnedFd,
}

/// The sleep of an event loop in epoll_wait(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// Without a timeout: no timer is running.
    UntilSomethingHappens,
    /// With a timeout for the next timer, counted from the beginning of the sleep.
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
            .expect("a child that has not been reaped exists");
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

    /// Its exit status; `None` if it is still running after that time.
    pub(super) fn wait(&self, within: Duration) -> Option<ExitStatus> {
        let timeout = Timespec::try_from(within).expect("a timeout is shorter than centuries");
        let mut ended = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let ready =
            retry_on_intr(|| poll(&mut ended, Some(&timeout))).expect("a pidfd can be polled");
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

    /// The main thread's sleep, from the arguments of epoll_wait(2) in `/proc/PID/syscall`: see proc_pid_syscall(5).
    pub(super) fn sleep(&self) -> Option<Sleep> {
        const TIMEOUT: usize = 4;
        let call = fs::read_to_string(format!("/proc/{}/syscall", self.pid))
            .expect("the process runs as our user");
        let words: Vec<&str> = call.split(' ').collect();
        if !EPOLL_WAITS.contains(words.first()?) {
            return None;
        }
        let timeout = words.get(TIMEOUT)?.strip_prefix("0x")?;
        let timeout = u64::from_str_radix(timeout, 16).expect("the kernel writes hexadecimal");
        // A C int: -1 means no timeout.
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
        // Fails only if the process has ended already.
        let _ = self.signal(Signal::KILL);
        self.reap();
    }
}

/// Whether all threads of the process are stopped by a signal: see proc_pid_stat(5).
pub(crate) fn is_stopped(pid: u32) -> bool {
    entries(pid, "task").iter().all(|thread| {
        fs::read_to_string(thread.join("stat")).is_ok_and(|stat| stat.contains(") T "))
    })
}

fn entries(pid: u32, folder: &str) -> Vec<PathBuf> {
    fs::read_dir(format!("/proc/{pid}/{folder}"))
        .expect("the process runs as our user")
        .map(|entry| entry.expect("the folder is readable").path())
        .collect()
}

/// A number from `/proc/PID/status`: see proc(5). Sizes are in kB.
fn number_of(status: &Path, name: &str) -> u64 {
    fs::read_to_string(status)
        .expect("the process runs")
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|number| number.trim().trim_end_matches(" kB").parse().ok())
        .expect("every status file has this line")
}
