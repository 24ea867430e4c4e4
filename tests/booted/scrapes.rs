//! No scrape is lost during restarts, crashes, upgrades and reloads. The results go to `lost-scrapes.md` in Cargo's target
//! folder.

#[path = "scrapes/drain.rs"]
mod drain;
#[path = "scrapes/results.rs"]
mod results;
#[path = "scrapes/triggers.rs"]
mod triggers;

use std::ops::Range;
use std::time::Instant;

use lab::load::{Load, Progress, Report};
use lab::poll::eventually;
use lab::rkt_api_service::Images;

use crate::host::{Host, METRICS, PROGRAM, SERVICE};
use crate::package::PACKAGES;

const MANY: Load = Load {
    rate: 1_000,
    requests: 12_000,
    kept_rate: 40,
};

pub(crate) const SOME: Load = Load {
    rate: 200,
    requests: 1_600,
    kept_rate: 40,
};

/// Puts the load on a running service while `act` runs, and records the result.
#[track_caller]
pub(crate) fn under_load(
    host: &Host,
    action: &str,
    load: Load,
    act: impl FnOnce(&Progress),
) -> Report {
    host.systemctl("start exp-rkt-grpc");
    let (report, ()) = load.during(&host.machine, METRICS, act);
    results::add(action, load, &report);
    report
}

#[track_caller]
pub(crate) fn assert_none_is_lost(host: &Host, report: &Report) {
    assert_eq!(lost(report), 0, "{report:#?}\n{}", host.log());
    assert!(report.kept.sent() > 0);
}

fn lost(report: &Report) -> usize {
    report.fresh.failed() + report.kept.failed()
}

/// Calls `act` this many times, spread evenly over the load.
fn spread(progress: &Progress, load: Load, times: usize, mut act: impl FnMut()) {
    for time in 1..=times {
        progress.wait_until_sent(load.requests * time / (times + 1));
        act();
    }
}

fn wait_until_running(host: &Host) {
    eventually("the service", || {
        (host.property("SubState") == "running").then_some(())
    });
}

fn starts(host: &Host) -> usize {
    let started = [
        "--unit=exp-rkt-grpc",
        "MESSAGE_ID=39f53479d3a045ac8e11786248231fbf",
    ];
    host.machine.journal(started).len()
}

#[test]
fn twenty_restarts_lose_no_scrape() {
    let Some(host) = Host::boot("restarts") else {
        return;
    };
    let report = under_load(&host, "20 × restart", MANY, |progress| {
        spread(progress, MANY, 20, || {
            host.systemctl("restart exp-rkt-grpc");
        });
    });
    assert_none_is_lost(&host, &report);
    assert!(starts(&host) > 20);
}

/// That the service answers one request at a time is tested by `no_connection_is_accepted_…` in tests/scrapes/limits.rs.
#[test]
fn a_kill_may_lose_only_the_request_being_answered_at_that_instant() {
    const KILLS: usize = 10;
    let Some(host) = Host::boot("kills") else {
        return;
    };
    let mut kills = Vec::new();
    let report = under_load(&host, "10 × kill -s KILL", SOME, |progress| {
        spread(progress, SOME, KILLS, || kills.push(kill(&host, progress)));
    });
    assert_eq!(host.property("NRestarts"), KILLS.to_string());
    assert_each_loses_one_at_most(&host, &report, &kills);
}

/// Each lost request was waiting while the process was killed, and no kill lost more than one.
#[track_caller]
fn assert_each_loses_one_at_most(host: &Host, report: &Report, kills: &[Range<Instant>]) {
    let lost = report.fresh.lost.iter().chain(&report.kept.lost);
    let mut by: Vec<Option<usize>> = lost
        .map(|waited| {
            kills
                .iter()
                .rposition(|kill| kill.start <= waited.end && waited.start <= kill.end)
        })
        .collect();
    assert!(
        by.iter().all(Option::is_some),
        "{report:#?}\n{kills:#?}\n{}",
        host.log()
    );
    by.sort_unstable();
    assert!(
        by.windows(2).all(|pair| pair[0] != pair[1]),
        "{by:?}\n{report:#?}\n{kills:#?}\n{}",
        host.log()
    );
}

/// Kills the process, and returns the interval in which it was killed.
fn kill(host: &Host, progress: &Progress) -> Range<Instant> {
    wait_until_running(host);
    // No request that the previous kill could have lost is still waiting.
    progress.wait_until_answered();
    let process = host.property("MainPID");
    let began = Instant::now();
    host.systemctl("kill --signal=SIGKILL exp-rkt-grpc");
    eventually("the end of the process", || {
        (host.property("MainPID") != process).then_some(())
    });
    began..Instant::now()
}

#[test]
fn stops_and_starts_lose_no_scrape() {
    let Some(host) = Host::boot("stops") else {
        return;
    };
    let report = under_load(&host, "3 × stop, then start", SOME, |progress| {
        spread(progress, SOME, 3, || {
            host.machine.run(["systemctl", "stop", SERVICE]);
            host.systemctl("start exp-rkt-grpc");
        });
    });
    assert_none_is_lost(&host, &report);
}

#[test]
fn reloading_and_reexecuting_systemd_loses_no_scrape() {
    let Some(host) = Host::boot("manager") else {
        return;
    };
    let action = "5 × daemon-reload, 3 × daemon-reexec";
    let report = under_load(&host, action, SOME, |progress| {
        let mut acts = ["daemon-reload"; 5].into_iter().chain(["daemon-reexec"; 3]);
        spread(progress, SOME, 8, || {
            let act = acts.next().expect("there are eight acts");
            systemctl_until_it_answers(&host, act);
        });
    });
    assert_none_is_lost(&host, &report);
    assert_eq!(starts(&host), 1);
}

/// The watchdog ends the hang with a kill.
#[test]
fn a_hang_that_the_watchdog_ends_may_lose_only_the_request_being_answered_when_it_began() {
    let Some(host) = Host::boot("hang") else {
        return;
    };
    host.edit(SERVICE, "[Service]\nWatchdogSec=2s\n");
    let mut hangs = Vec::new();
    let action = "SIGSTOP, ended by the watchdog (2 s)";
    let report = under_load(&host, action, SOME, |progress| {
        progress.wait_until_sent(SOME.requests / 4);
        let process = host.property("MainPID");
        let began = Instant::now();
        host.systemctl("kill --signal=SIGSTOP exp-rkt-grpc");
        eventually("the watchdog", || {
            (host.property("MainPID") != process).then_some(())
        });
        hangs.push(began..Instant::now());
        wait_until_running(&host);
    });
    assert_each_loses_one_at_most(&host, &report, &hangs);
    assert!(host.log().contains("Watchdog timeout"), "{}", host.log());
}

#[test]
fn a_slow_start_loses_no_scrape() {
    let Some(host) = Host::boot("slow") else {
        return;
    };
    host.edit(SERVICE, "[Service]\nExecStartPre=+/bin/sleep 1.5\n");
    let report = under_load(
        &host,
        "2 × restart, when a start takes 1.5 s",
        SOME,
        |progress| {
            spread(progress, SOME, 2, || {
                host.systemctl("restart exp-rkt-grpc");
            });
        },
    );
    assert_none_is_lost(&host, &report);
}

#[test]
fn starts_that_fail_for_a_while_lose_no_scrape() {
    let Some(host) = Host::boot("failing") else {
        return;
    };
    let report = under_load(
        &host,
        "starts that fail for 2 s (no program)",
        SOME,
        |progress| {
            progress.wait_until_sent(SOME.requests / 4);
            host.machine
                .succeed(&format!("mv {PROGRAM} {PROGRAM}.away"));
            host.machine.run(["systemctl", "restart", SERVICE]);
            eventually("two further attempts", || {
                let restarts: u32 = host.property("NRestarts").parse().expect("a number");
                (restarts >= 2).then_some(())
            });
            host.machine
                .succeed(&format!("mv {PROGRAM}.away {PROGRAM}"));
            wait_until_running(&host);
        },
    );
    assert_none_is_lost(&host, &report);
}

#[test]
fn an_upgrade_of_the_package_loses_no_scrape() {
    let Some(host) = Host::boot("upgrade") else {
        return;
    };
    let next = &PACKAGES.next;
    let report = under_load(&host, "upgrade of the package", SOME, |progress| {
        progress.wait_until_sent(SOME.requests / 4);
        let process = host.property("MainPID");
        host.install(next);
        assert_ne!(host.property("MainPID"), process);
    });
    assert_none_is_lost(&host, &report);
}

/// See `StartLimitIntervalSec=` and `TriggerLimitIntervalSec=` in the units, and `src/refusal.rs`.
#[test]
fn a_refused_configuration_neither_spins_nor_floods_the_journal_and_loses_no_scrape_once_corrected()
{
    const DEFAULTS: &str = "/etc/default/exp-rkt-grpc";
    let Some(host) = Host::boot("broken") else {
        return;
    };
    let _store = host.store(Images::generated(1));
    let mut cost = None;
    let action = "a configuration that is refused (exit 78), until it is corrected";
    let report = under_load(&host, action, SOME, |progress| {
        progress.wait_until_sent(SOME.requests / 4);
        host.machine
            .write(DEFAULTS, "EXP_RKT_GRPC_DEADLINE=never\n");
        let before = results::Cost::so_far(&host.machine);
        host.systemctl("restart --no-block exp-rkt-grpc");
        eventually("a refusal", || {
            host.log().contains("configuration refused").then_some(())
        });
        progress.wait_until_sent(SOME.requests);
        cost = Some(results::Cost::so_far(&host.machine).since(&before));
        host.machine.write(DEFAULTS, "");
        host.systemctl("restart exp-rkt-grpc");
        wait_until_running(&host);
    });
    let cost = cost.expect("measured");
    results::note(action, &cost);
    assert_none_is_lost(&host, &report);
    assert_eq!(
        host.machine.property("exp-rkt-grpc.socket", "ActiveState"),
        "active"
    );
    // The first attempt may have ended before a scrape was waiting.
    assert!(cost.attempts <= 2, "{cost:?}\n{}", host.log());
}

/// While systemd re-executes itself, it drops its connection to systemctl.
fn systemctl_until_it_answers(host: &Host, act: &str) {
    host.machine.run(["systemctl", act]);
    eventually("the manager", || {
        let active = host
            .machine
            .run(["systemctl", "is-active", "--quiet", SERVICE]);
        active.status.success().then_some(())
    });
}
