//! The `process_*` metrics of this process, as the Prometheus client libraries name them.
//!
//! The prometheus crate's own collector takes most of a scrape's time, reports CPU time in whole seconds only, and reads the boot
//! time from `/proc/stat`, which `ProcSubset=pid` hides, so that its start time is 0. See proc(5) and getrlimit(2).

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{FileExt, MetadataExt},
    },
    time::Duration,
};

use prometheus::{
    Counter, Gauge,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};
use thiserror::Error;

/// File descriptors that must be available at the start: enough for start-up, one query and one scrape.
const DESCRIPTORS: usize = 16;

/// Too few file descriptors are available to start.
#[derive(Debug, Error)]
#[error(
    "this process cannot open the {DESCRIPTORS} file descriptors that it needs to start: raise LimitNOFILE= of the unit (ulimit -n)"
)]
pub struct TooFewDescriptors(#[source] io::Error);

/// Checks that enough descriptors are available by opening and closing them: some libraries panic if they get none.
///
/// # Errors
///
/// When that many cannot be opened, for example because of RLIMIT_NOFILE.
pub fn require_descriptors() -> Result<(), TooFewDescriptors> {
    let stderr = io::stderr();
    let opened = (0..DESCRIPTORS).map(|_| stderr.as_fd().try_clone_to_owned());
    let opened: io::Result<Vec<OwnedFd>> = opened.collect();
    opened.map(drop).map_err(TooFewDescriptors)
}

/// Collects the process's CPU time, memory, descriptors, threads and start time at each scrape.
///
/// Values that cannot be read are left out of that scrape.
#[derive(Debug)]
pub struct ProcessCollector {
    /// `/proc/self/statm`, kept open: each read returns the current values.
    statm: Option<File>,
    cpu_seconds: Counter,
    open_fds: Gauge,
    max_fds: Gauge,
    virtual_memory: Gauge,
    virtual_memory_max: Gauge,
    resident_memory: Gauge,
    threads: Gauge,
    start_time: Option<Gauge>,
}

impl ProcessCollector {
    /// Reads the start time once; everything else at each collection.
    ///
    /// # Errors
    ///
    /// Never in practice: the names and texts are constants that the prometheus crate accepts.
    pub fn new() -> prometheus::Result<Self> {
        let start_time = Gauge::new(
            "process_start_time_seconds",
            "Start time of the process since the Unix epoch in seconds.",
        )?;
        Ok(Self {
            statm: File::open("/proc/self/statm").ok(),
            cpu_seconds: Counter::new(
                "process_cpu_seconds_total",
                "Total user and system CPU time spent in seconds.",
            )?,
            open_fds: Gauge::new("process_open_fds", "Number of open file descriptors.")?,
            max_fds: Gauge::new(
                "process_max_fds",
                "Maximum number of open file descriptors (soft limit).",
            )?,
            virtual_memory: Gauge::new(
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes.",
            )?,
            virtual_memory_max: Gauge::new(
                "process_virtual_memory_max_bytes",
                "Maximum amount of virtual memory available in bytes (soft limit); 2^64 where there is no limit.",
            )?,
            resident_memory: Gauge::new(
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
            )?,
            threads: Gauge::new("process_threads", "Number of threads in the process.")?,
            start_time: start_time_seconds().ok().map(|seconds| {
                start_time.set(seconds);
                start_time
            }),
        })
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        [
            &self.open_fds,
            &self.max_fds,
            &self.virtual_memory,
            &self.virtual_memory_max,
            &self.resident_memory,
            &self.threads,
        ]
        .into_iter()
        .chain(&self.start_time)
        .flat_map(Collector::desc)
        .chain(self.cpu_seconds.desc())
        .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let cpu = cpu_time().as_secs_f64();
        self.cpu_seconds
            .inc_by((cpu - self.cpu_seconds.get()).max(0.0));
        self.max_fds.set(soft_limit(Resource::Nofile));
        self.virtual_memory_max.set(soft_limit(Resource::As));

        let mut families = self.cpu_seconds.collect();
        families.extend(self.max_fds.collect());
        families.extend(self.virtual_memory_max.collect());
        families.extend(self.start_time.iter().flat_map(Collector::collect));
        let memory = self.statm.as_ref().map(memory_bytes);
        if let Some(Ok((virtual_bytes, resident_bytes))) = memory {
            self.virtual_memory.set(virtual_bytes);
            self.resident_memory.set(resident_bytes);
            families.extend(self.virtual_memory.collect());
            families.extend(self.resident_memory.collect());
        }
        if let Ok(fds) = open_fds() {
            self.open_fds.set(fds as f64);
            families.extend(self.open_fds.collect());
        }
        if let Ok(task) = fs::metadata("/proc/self/task") {
            // One link per thread's directory, plus two for `.` and the entry in the parent.
            self.threads.set(task.nlink().saturating_sub(2) as f64);
            families.extend(self.threads.collect());
        }
        families
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// RLIM_INFINITY, 2⁶⁴ - 1, if there is no limit, as in the other client libraries.
fn soft_limit(resource: Resource) -> f64 {
    getrlimit(resource).current.unwrap_or(u64::MAX) as f64
}

/// Virtual and resident size: the first two numbers of `/proc/self/statm`, in pages.
fn memory_bytes(statm: &File) -> io::Result<(f64, f64)> {
    let mut buffer = [0; 128];
    let length = statm.read_at(&mut buffer, 0)?;
    let numbers = buffer[..length].split(|&byte| byte == b' ');
    let mut pages = numbers.map(|digits| str::from_utf8(digits).ok()?.parse::<f64>().ok());
    match (pages.next().flatten(), pages.next().flatten()) {
        (Some(size), Some(resident)) => {
            let page = rustix::param::page_size() as f64;
            Ok((size * page, resident * page))
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Linux 6.2 and later report the count as the directory's size. Before, that size is 0 and the entries are counted, minus the
/// descriptor used for reading the directory.
fn open_fds() -> io::Result<u64> {
    match fs::metadata("/proc/self/fd")?.size() {
        0 => Ok((fs::read_dir("/proc/self/fd")?.count() as u64).saturating_sub(1)),
        count => Ok(count),
    }
}

/// Field 22 of `/proc/self/stat` counts clock ticks since boot. The boot time is the difference of two clocks, so no other file is
/// needed.
fn start_time_seconds() -> io::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let ticks = start_ticks(&stat).ok_or(io::ErrorKind::InvalidData)?;
    let since_boot = ticks / rustix::param::clock_ticks_per_second() as f64;
    Ok(since_boot + seconds(ClockId::Realtime) - seconds(ClockId::Boottime))
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The second field is the command in parentheses and may contain anything, so fields are counted from the last parenthesis.
fn start_ticks(stat: &str) -> Option<f64> {
    const START_TIME: usize = 22;
    const FIRST_AFTER_COMMAND: usize = 3;
    let (_, fields) = stat.rsplit_once(") ")?;
    fields
        .split(' ')
        .nth(START_TIME - FIRST_AFTER_COMMAND)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::start_ticks;

    #[test]
    fn a_command_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1000 100 0";
        assert_eq!(start_ticks(stat), Some(4242.0));
        assert_eq!(start_ticks("7 (a) S 1"), None);
    }
}
