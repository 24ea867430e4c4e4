//! What becomes of a service that hangs.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use lab::poll::eventually;
use lab::rkt_api_service::{Behaviour, Images};
use lab::service::PATIENCE;
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};

use crate::host::{Host, SERVICE};

const SHORT: &str = "[Service]\nWatchdogSec=2s\n";

fn restarts(host: &Host) -> u32 {
    host.property("NRestarts").parse().expect("it is a number")
}

/// Waits until systemd has heard the service's next sign of life.
fn wait_for_a_sign_of_life(host: &Host) {
    let heard = || host.property("WatchdogTimestampMonotonic");
    let before = heard();
    eventually("a sign of life", || (heard() != before).then_some(()));
}

/// A pipe in the place of the log, which nobody reads.
struct StuckLog(File);

impl StuckLog {
    const PATH: &str = "/run/log-that-nobody-reads";

    fn make(host: &Host) -> Self {
        let path = host.machine.path(Self::PATH);
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("root may");
        let pipe: OwnedFd = open(&path, OFlags::RDWR | OFlags::NONBLOCK, Mode::empty())
            .expect("whoever reads and writes waits for nobody");
        Self(pipe.into())
    }

    /// From now on whoever writes to it waits.
    fn fill(&mut self) {
        for length in [4096, 1] {
            while self.0.write(&vec![b'.'; length]).is_ok() {}
        }
    }

    fn drain(&mut self) {
        let mut buffer = [0; 4096];
        while self.0.read(&mut buffer).is_ok() {}
    }
}

/// No hook in the program is needed for that: it writes its log lines to a pipe by itself where its standard error is none of the
/// journal's, and one thread does everything.
#[test]
fn a_loop_that_is_stuck_is_replaced() {
    let Some(host) = Host::boot("stuck") else {
        return;
    };
    let mut log = StuckLog::make(&host);
    host.edit(
        SERVICE,
        &format!("{SHORT}StandardError=file:{}\n", StuckLog::PATH),
    );
    host.systemctl("start exp-rkt-grpc");
    host.scrape();
    let process = host.property("MainPID");
    log.fill();
    host.systemctl("kill --signal=SIGQUIT exp-rkt-grpc");
    eventually("the watchdog", || {
        (host.property("MainPID") != process).then_some(())
    });
    log.drain();
    host.scrape();
    assert!(host.log().contains("Watchdog timeout"), "{}", host.log());
    assert!(restarts(&host) >= 1);
}

#[test]
fn a_stopped_process_is_replaced() {
    let Some(host) = Host::boot("stopped") else {
        return;
    };
    host.edit(SERVICE, SHORT);
    host.systemctl("start exp-rkt-grpc");
    let process = host.property("MainPID");
    host.systemctl("kill --signal=SIGSTOP exp-rkt-grpc");
    eventually("the watchdog", || (restarts(&host) >= 1).then_some(()));
    host.scrape();
    assert_ne!(host.property("MainPID"), process);
    assert!(host.log().contains("Watchdog timeout"), "{}", host.log());
}

#[test]
fn systemd_hears_signs_of_life_while_a_store_is_down_or_hangs() {
    let Some(host) = Host::boot("patient") else {
        return;
    };
    // Longer than a busy machine takes to let the service have its turn.
    host.edit(SERVICE, "[Service]\nWatchdogSec=10s\n");
    host.systemctl("start exp-rkt-grpc");
    let process = host.property("MainPID");
    assert_eq!(host.query().sum("imagestore_up"), Some(0.0));
    let store = host.store(Images::generated(1));
    store.behave(Behaviour::Hang);
    host.systemctl("kill --signal=SIGQUIT exp-rkt-grpc");
    store.wait_for_calls(1, PATIENCE);
    wait_for_a_sign_of_life(&host);
    wait_for_a_sign_of_life(&host);
    assert_eq!(store.open_connections(), 1);
    assert_eq!(host.property("WatchdogUSec"), "10s");
    assert_eq!(host.property("MainPID"), process);
    assert_eq!(restarts(&host), 0);
}
