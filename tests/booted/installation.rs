//! The package on a machine: installed, upgraded, removed, purged.

use crate::host::{Host, METRICS, SERVICE, SOCKET};
use crate::package::NEXT_PACKAGE;
use lab::rkt_api_service::Images;
use lab::service::http;

/// Every file that bears the name where packages, systemd and administrators put files, but for dpkg's own records.
fn files(host: &Host) -> Vec<String> {
    let places = "/bin /boot /etc /home /lib /lib64 /opt /root /run /sbin /srv /usr /var/cache /var/lib /var/spool";
    let mut find: Vec<&str> = vec!["find"];
    find.extend(places.split(' '));
    find.extend([
        "-not",
        "-path",
        "/var/lib/dpkg/*",
        "-name",
        "*exp-rkt-grpc*",
    ]);
    let found = host.machine.run(find);
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    found.lines().map(str::to_owned).collect()
}

/// The units of that name that systemd knows, loaded or not.
fn units(host: &Host) -> String {
    let list = |command: &str| {
        // Fails where there are none.
        let listed = host.machine.run([
            "systemctl",
            command,
            "--all",
            "--no-legend",
            "--plain",
            "exp-rkt-grpc*",
        ]);
        String::from_utf8_lossy(&listed.stdout).into_owned()
    };
    list("list-units") + &list("list-unit-files")
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
    let defaults = host.machine.succeed("cat /etc/default/exp-rkt-grpc");
    assert!(!defaults.is_empty());
    assert_eq!(host.machine.property(SERVICE, "LoadState"), "not-found");
}

#[test]
fn a_purge_leaves_nothing() {
    let Some(host) = Host::boot("purged") else {
        return;
    };
    host.scrape();
    assert!(files(&host).len() > 10, "{:#?}", files(&host));
    assert_ne!(units(&host), "");
    host.machine.succeed("dpkg --purge exp-rkt-grpc");
    assert_eq!(files(&host), Vec::<String>::new());
    assert_eq!(units(&host), "");
    let known = host.machine.run(["dpkg-query", "--show", "exp-rkt-grpc"]);
    assert!(!known.status.success(), "{known:?}");
}
