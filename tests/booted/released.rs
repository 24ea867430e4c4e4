//! Upgrades from version 0.1.0 and downgrades to it, with the packages of both.

use std::path::Path;
use std::process::Command;

use lab::exposition::Scrape;
use lab::machine::Machine;
use lab::rkt_api_service::Images;

use crate::host::{Host, SERVICE, SOCKET};
use crate::package::{PACKAGES, released};
use crate::scrapes::{SOME, assert_none_is_lost, under_load};

const TIMER: &str = "exp-rkt-grpc-query.timer";

/// Version 0.1.0 sent traces through this socket, and its cri.conf requires it.
const TRACES: &str = "exp-rkt-grpc-trace.socket";

/// Installs `package` under load once there are numbers to keep, and returns what dpkg writes to standard error.
#[track_caller]
fn change_to(host: &Host, action: &str, package: &Path) -> String {
    let mut said = String::new();
    let report = under_load(host, action, SOME, |progress| {
        host.query();
        progress.wait_until_sent(SOME.requests / 4);
        let process = host.property("MainPID");
        said = host.install(package);
        assert_ne!(host.property("MainPID"), process);
    });
    assert_none_is_lost(host, &report);
    assert_eq!(troubled(host), "");
    said
}

/// Units that have failed or lack their file.
fn troubled(host: &Host) -> String {
    host.systemctl("list-units --all --plain --no-legend --state=failed,not-found exp-rkt-grpc*")
}

#[track_caller]
fn assert_timer_is_enabled_and_runs(host: &Host) {
    assert_eq!(host.systemctl(&format!("is-enabled {TIMER}")), "enabled");
    assert_eq!(host.machine.property(TIMER, "ActiveState"), "active");
}

fn version(scrape: &Scrape) -> &str {
    let mut info = scrape.samples("exp_rkt_grpc_build_info");
    &info.next().expect("every scrape has it").labels["version"]
}

#[track_caller]
fn assert_logged(host: &Host, line: &str) {
    let log = host.log();
    assert!(log.contains(line), "{log}");
}

#[test]
fn an_upgrade_from_0_1_0_moves_the_timer_and_drops_the_numbers_with_a_line_in_the_log() {
    let Some(host) = Host::boot_0_1_0("from-0-1-0") else {
        return;
    };
    let _store = host.store(Images::generated(3));
    host.systemctl(&format!("enable --now {TIMER}"));
    let before = format!("/etc/systemd/system/timers.target.wants/{TIMER}");
    host.machine.succeed(&format!("test -L {before}"));
    host.systemctl(&format!("start {TRACES}"));
    change_to(&host, "upgrade from 0.1.0", &PACKAGES.this);
    assert_logged(
        &host,
        "kept numbers dropped error=it has version 1, which lacks the addresses of the stores",
    );
    host.machine.succeed(&format!("test ! -L {before}"));
    assert_timer_is_enabled_and_runs(&host);
    assert_eq!(host.machine.property(TRACES, "ActiveState"), "inactive");
    let scrape = host.query();
    assert_eq!(version(&scrape), env!("CARGO_PKG_VERSION"));
    assert_eq!(
        scrape.value("imagestore_images", &[("store", "rkt")]),
        Some(3.0)
    );
    host.systemctl("restart exp-rkt-grpc.socket");
    assert_timer_is_enabled_and_runs(&host);
}

#[test]
fn a_downgrade_to_0_1_0_keeps_the_timer_and_drops_the_numbers_with_a_line_in_the_log() {
    let Some(before) = Machine::possible().then(released).flatten() else {
        return;
    };
    let Some(host) = Host::boot("to-0-1-0") else {
        return;
    };
    let _store = host.store(Images::generated(3));
    host.systemctl(&format!("enable --now {TIMER}"));
    change_to(&host, "downgrade to 0.1.0", before);
    assert_logged(
        &host,
        "kept numbers dropped error=it has version 2, and this program reads 1",
    );
    assert_eq!(version(&host.query()), "0.1.0");
    assert_timer_is_enabled_and_runs(&host);
    // As at boot, the socket starts the timer.
    host.systemctl(&format!("stop {TIMER}"));
    host.systemctl("restart exp-rkt-grpc.socket");
    assert_timer_is_enabled_and_runs(&host);

    change_to(&host, "upgrade after a downgrade", &PACKAGES.this);
    assert_timer_is_enabled_and_runs(&host);
    assert_eq!(version(&host.query()), env!("CARGO_PKG_VERSION"));
    assert_eq!(host.of_rkt("imagestore_images"), Some(3.0));

    host.remove_package("--purge");
    let left = "find /etc /run /usr /var/lib -name *exp-rkt-grpc*";
    assert_eq!(host.machine.succeed(left), "");
    assert_eq!(troubled(&host), "");
}

const CONTAINERD: &str = "/run/containerd/containerd.sock";

#[track_caller]
fn assert_counted(host: &Host) {
    let scrape = host.query();
    assert_eq!(version(&scrape), env!("CARGO_PKG_VERSION"));
    assert_eq!(
        scrape.value("imagestore_images", &[("store", "cri")]),
        Some(3.0),
        "{}",
        host.log()
    );
}

#[test]
fn an_upgrade_with_the_cri_conf_of_0_1_0_says_how_to_renew_it() {
    let Some(host) = Host::boot_0_1_0("cri-0-1-0") else {
        return;
    };
    let _runtime = host.runtime(CONTAINERD, 3);
    host.drop_in(&["cri.conf"]);
    let said = change_to(
        &host,
        "upgrade from 0.1.0 with its cri.conf",
        &PACKAGES.this,
    );
    assert!(said.contains("cannot send traces"), "{said}");
    assert_counted(&host);

    host.drop_in(&["cri.conf"]);
    host.systemctl("restart exp-rkt-grpc");
    assert_counted(&host);
    let said = host.install(&PACKAGES.next);
    assert!(!said.contains("traces"), "{said}");
    assert_counted(&host);
    assert_eq!(host.machine.property(TRACES, "ActiveState"), "inactive");
}

/// That cri.conf requires the trace socket, which this version keeps only for such drop-ins.
#[test]
fn the_service_starts_after_a_boot_with_the_cri_conf_of_0_1_0() {
    let Some(before) = Machine::possible().then(released).flatten() else {
        return;
    };
    let example =
        "dpkg-deb --fsys-tarfile \"$0\" | tar -xO ./usr/share/doc/exp-rkt-grpc/examples/cri.conf";
    let output = Command::new("sh")
        .args(["-c", example])
        .arg(before)
        .output();
    let output = output.expect("every host has a shell");
    let drop_in = String::from_utf8(output.stdout).expect("it is a text");
    assert!(drop_in.contains(TRACES), "{drop_in}");
    let Some(host) = Host::boot_enabled_with("cri-boot", &[SOCKET], &[(SERVICE, &drop_in)]) else {
        return;
    };
    let _runtime = host.runtime(CONTAINERD, 3);
    assert_counted(&host);
    assert_eq!(troubled(&host), "");
}
