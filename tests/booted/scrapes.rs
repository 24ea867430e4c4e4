//! No scrape is lost, whatever happens to the service meanwhile. The results go to `lost-scrapes.md` in Cargo's target folder.

#[path = "scrapes/drain.rs"]
mod drain;
#[path = "scrapes/results.rs"]
mod results;
#[path = "scrapes/triggers.rs"]
mod triggers;

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

const SOME: Load = Load {
    rate: 200,
    requests: 1_600,
    kept_rate: 40,
};

/// Puts the load on a running service while `act` runs, and notes what came of it.
#[track_caller]
fn under_load(host: &Host, action: &str, load: Load, act: impl FnOnce(&Progress)) -> Report {
    host.systemctl("start exp-rkt-grpc");
    let (report, ()) = load.during(&host.machine, METRICS, act);
    results::add(action, load, &report);
    report
}

#[track_caller]
fn assert_none_is_lost(host: &Host, report: &Report) {
    assert_eq!(lost(report), 0, "{report:#?}\n{}", host.log());
    assert!(report.kept.sent > 0);
}

fn lost(report: &Report) -> usize {
    report.fresh.failed() + report.kept.failed()
}

/// Does something so many times, spread evenly over the load.
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
fn twenty_restarts_lose_none() {
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

/// Whether a kill comes while a request is being answered is chance: rounds in which it did so more than once are repeated, so
/// that the test tells chance from habit.
#[test]
fn ten_kills_lose_one_at_most_and_only_one_that_was_being_answered() {
    const KILLS: usize = 10;
    const ROUNDS: usize = 3;
    let Some(host) = Host::boot("kills") else {
        return;
    };
    for round in 1..=ROUNDS {
        let report = under_load(&host, "10 × kill -s KILL", SOME, |progress| {
            spread(progress, SOME, KILLS, || kill(&host, progress));
        });
        assert_eq!(host.property("NRestarts"), (KILLS * round).to_string());
        // Each takes along no more than what had been accepted.
        assert!(lost(&report) <= KILLS, "{report:#?}\n{}", host.log());
        if lost(&report) <= 1 {
            return;
        }
    }
    panic!("more than one, {ROUNDS} times\n{}", host.log());
}

fn kill(host: &Host, progress: &Progress) {
    wait_until_running(host);
    // Those that waited for the service are answered, and the load is what it says.
    progress.wait_until_waiting(3);
    let process = host.property("MainPID");
    host.systemctl("kill --signal=SIGKILL exp-rkt-grpc");
    eventually("the end of it", || {
        (host.property("MainPID") != process).then_some(())
    });
}

#[test]
fn stops_and_starts_lose_none() {
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
fn a_manager_that_reloads_and_reexecutes_loses_none() {
    let Some(host) = Host::boot("manager") else {
        return;
    };
    let action = "5 × daemon-reload, 3 × daemon-reexec";
    let report = under_load(&host, action, SOME, |progress| {
        let mut acts = ["daemon-reload"; 5].into_iter().chain(["daemon-reexec"; 3]);
        spread(progress, SOME, 8, || {
            let act = acts.next().expect("one for each time");
            systemctl_until_it_answers(&host, act);
        });
    });
    assert_none_is_lost(&host, &report);
    assert_eq!(starts(&host), 1);
}

#[test]
fn a_hang_that_the_watchdog_ends_loses_none() {
    let Some(host) = Host::boot("hang") else {
        return;
    };
    host.edit(SERVICE, "[Service]\nWatchdogSec=2s\n");
    let report = under_load(
        &host,
        "SIGSTOP, ended by the watchdog (2 s)",
        SOME,
        |progress| {
            progress.wait_until_sent(SOME.requests / 4);
            host.systemctl("kill --signal=SIGSTOP exp-rkt-grpc");
            eventually("the watchdog", || {
                (host.property("NRestarts") == "1").then_some(())
            });
            wait_until_running(&host);
        },
    );
    assert_none_is_lost(&host, &report);
    assert!(host.log().contains("Watchdog timeout"), "{}", host.log());
}

#[test]
fn a_slow_start_loses_none() {
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
fn starts_that_fail_for_a_while_lose_none() {
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
fn an_upgrade_of_the_package_loses_none() {
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

/// See `StartLimitIntervalSec=`, `TriggerLimitIntervalSec=` and `ExecStopPost=` in the units.
#[test]
fn a_refused_configuration_neither_spins_nor_floods_the_journal_and_loses_none_once_mended() {
    const DEFAULTS: &str = "/etc/default/exp-rkt-grpc";
    let Some(host) = Host::boot("broken") else {
        return;
    };
    let _store = host.store(Images::generated(1));
    let mut cost = None;
    let action = "a configuration that is refused (exit 78), until it is mended";
    let report = under_load(&host, action, SOME, |progress| {
        progress.wait_until_sent(SOME.requests / 4);
        host.machine
            .write(DEFAULTS, "EXP_RKT_GRPC_DEADLINE=never\n");
        let before = results::Cost::so_far(&host.machine);
        host.machine.run(["systemctl", "restart", SERVICE]);
        eventually("three refusals", || {
            (host.log().matches("configuration refused").count() >= 3).then_some(())
        });
        cost = Some(results::Cost::so_far(&host.machine).since(&before));
        host.machine.write(DEFAULTS, "");
        wait_until_running(&host);
    });
    let cost = cost.expect("measured");
    results::note(action, &cost);
    assert_none_is_lost(&host, &report);
    assert_eq!(
        host.machine.property("exp-rkt-grpc.socket", "ActiveState"),
        "active"
    );
    // At most one attempt in three seconds, in a few lines each, at a fraction of a processor.
    assert!(
        f64::from(cost.attempts) <= 1.0 + cost.time.as_secs_f64() / 3.0,
        "{cost:?}"
    );
    assert!(cost.lines <= 12 * cost.attempts, "{cost:?}\n{}", host.log());
    assert!(cost.processor < cost.time / 4, "{cost:?}");
}

/// While it re-executes itself, systemd hangs up on systemctl.
fn systemctl_until_it_answers(host: &Host, act: &str) {
    host.machine.run(["systemctl", act]);
    eventually("the manager", || {
        let asked = host
            .machine
            .run(["systemctl", "is-active", "--quiet", SERVICE]);
        asked.status.success().then_some(())
    });
}
