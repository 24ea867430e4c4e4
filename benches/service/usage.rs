//! The kernel's figures about a process: proc(5).

use std::{fs, time::Duration};

use rustix::param::clock_ticks_per_second;

/// Memory of a process in KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) rss: u64,
    pub(crate) pss: u64,
}

/// A process that runs as our user, by its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage(pub(crate) u32);

impl Usage {
    /// Resident and proportional set size.
    pub(crate) fn memory(self) -> Memory {
        let rollup = self.read("smaps_rollup");
        Memory {
            rss: number_of(&rollup, "Rss:"),
            pss: number_of(&rollup, "Pss:"),
        }
    }

    /// Largest resident set size in KiB since [`Usage::forget_peak`].
    pub(crate) fn peak(self) -> u64 {
        number_of(&self.read("status"), "VmHWM:")
    }

    pub(crate) fn forget_peak(self) {
        fs::write(self.path("clear_refs"), "5").expect("the process runs as our user");
    }

    /// CPU time of all its threads.
    pub(crate) fn cpu(self) -> Duration {
        let nanoseconds = self.threads().map(|thread| {
            let schedstat = fs::read_to_string(format!("{thread}/schedstat")).unwrap_or_default();
            let first = schedstat.split(' ').next().unwrap_or_default();
            first.parse::<u64>().unwrap_or(0)
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// CPU time of its children that have ended, in ticks of 10 ms.
    pub(crate) fn cpu_of_children(self) -> Duration {
        let stat = self.read("stat");
        // The name of the program, in parentheses, may contain blanks. The first field after it is the third one.
        let (_, fields) = stat.rsplit_once(") ").expect("proc(5) documents it");
        let ticks = fields.split(' ').skip(16 - 3).take(2);
        let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
        Duration::from_secs(ticks) / clock_ticks_per_second() as u32
    }

    /// Voluntary and involuntary context switches of all its threads.
    pub(crate) fn context_switches(self) -> u64 {
        self.threads()
            .map(|thread| {
                let status = fs::read_to_string(format!("{thread}/status")).unwrap_or_default();
                number_of(&status, "voluntary_ctxt_switches:")
                    + number_of(&status, "nonvoluntary_ctxt_switches:")
            })
            .sum()
    }

    fn threads(self) -> impl Iterator<Item = String> {
        fs::read_dir(self.path("task"))
            .expect("the process runs")
            .filter_map(|thread| Some(thread.ok()?.path().display().to_string()))
    }

    fn read(self, file: &str) -> String {
        fs::read_to_string(self.path(file)).expect("the process runs as our user")
    }

    fn path(self, file: &str) -> String {
        format!("/proc/{}/{file}", self.0)
    }
}

fn number_of(text: &str, key: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or_else(|| panic!("no number for {key} in:\n{text}"))
}
