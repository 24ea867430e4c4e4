//! The package on a machine: installed, upgraded, removed, purged.

use crate::host::{Host, METRICS, SERVICE, SOCKET};
use crate::package::NEXT_PACKAGE;
use lab::rkt_api_service::Images;
use lab::service::http;

/// Every file that bears the name, besides dpkg's own records, its cache of packages and logs.
fn files(host: &Host) -> Vec<String> {
    let found = host.machine.run([
        "find",
        "/",
        "-xdev",
        "-not",
        "-path",
        "/proc/*",
        "-not",
        "-path",
        "/sys/*",
        "-not",
        "-path",
        "/var/lib/dpkg/*",
        "-not",
        "-path",
        "/var/tmp/*",
        "-name",
        "*exp-rkt-grpc*",
    ]);
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    let found = found.lines().map(str::to_owned).collect::<Vec<_>>();
    // /run and /etc/systemd/system are file systems of their own.
    let mounted = host.machine.run([
        "find",
        "/run",
        "/etc/systemd",
        "-name",
        "*exp-rkt-grpc*",
        "-not",
        "-path",
        "/run/log/*",
    ]);
    let mounted = String::from_utf8_lossy(&mounted.stdout).into_owned();
    found
        .into_iter()
        .chain(mounted.lines().map(str::to_owned))
        .collect()
}

fn listed_units(host: &Host) -> String {
    let units = host.systemctl("list-units --all --no-legend --plain exp-rkt-grpc*");
    let files = host.systemctl("list-unit-files --no-legend exp-rkt-grpc*");
    format!("{units}{files}")
}

#[test]
fn the_installed_socket_is_enabled_and_listens_and_the_service_waits_for_a_scrape() {
    let Some(host) = Host::boot("installed") else {
        return;
    };
    assert_eq!(host.systemctl("is-enabled exp-rkt-grpc.socket"), "enabled");
    assert_eq!(host.machine.property(SOCKET, "ActiveState"), "active");
    assert_eq!(host.property("ActiveState"), "inactive");
    host.scrape();
}

#[test]
fn an_upgrade_restarts_a_running_service_which_keeps_its_numbers() {
    let Some(host) = Host::boot("upgraded") else {
        return;
    };
    let _store = host.store(Images::generated(3));
    host.systemctl("start exp-rkt-grpc");
    host.query();
    let process = host.property("MainPID");
    host.machine.write(
        "/etc/default/exp-rkt-grpc",
        "# changed by the administrator\n",
    );
    host.install(&NEXT_PACKAGE);
    assert_ne!(host.property("MainPID"), process);
    assert_eq!(host.property("ActiveState"), "active");
    assert_eq!(host.of_rkt("imagestore_images"), Some(3.0));
    assert_eq!(
        host.machine.succeed("cat /etc/default/exp-rkt-grpc"),
        "# changed by the administrator"
    );
}

#[test]
fn a_removal_stops_everything_and_leaves_the_settings() {
    let Some(host) = Host::boot("removed") else {
        return;
    };
    host.scrape();
    host.machine.succeed("dpkg --remove exp-rkt-grpc");
    host.machine
        .network(|| http::get(METRICS, "/metrics"))
        .expect_err("nobody listens");
    assert_eq!(host.property("ActiveState"), "inactive");
    assert_eq!(
        host.machine
            .succeed("cat /etc/default/exp-rkt-grpc")
            .is_empty(),
        false
    );
    assert_eq!(host.machine.property(SERVICE, "LoadState"), "not-found");
}

#[test]
fn a_purge_leaves_nothing() {
    let Some(host) = Host::boot("purged") else {
        return;
    };
    host.scrape();
    assert!(files(&host).len() > 10, "{:#?}", files(&host));
    host.machine.succeed("dpkg --purge exp-rkt-grpc");
    assert_eq!(files(&host), Vec::<String>::new());
    assert_eq!(listed_units(&host), "");
    let known = host.machine.run(["dpkg-query", "--show", "exp-rkt-grpc"]);
    assert!(!known.status.success(), "{known:?}");
}
