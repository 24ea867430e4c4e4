//! The package on a machine: installed, upgraded, removed, purged.

use std::collections::BTreeSet;

use lab::machine::Machine;

use crate::host::{Host, METRICS, SERVICE, SOCKET};
use crate::package::PACKAGES;
use lab::rkt_api_service::Images;
use lab::service::http;

/// Files in the directories that packages, systemd and administrators use; elsewhere, and among dpkg's records, only files named
/// after the service.
fn files(machine: &Machine) -> BTreeSet<String> {
    let find = |find: &str| {
        let found = machine.run(find.split_whitespace());
        String::from_utf8_lossy(&found.stdout).into_owned()
    };
    let mut files = find(
        "find /bin /boot /etc /lib /opt /sbin /srv /usr /var/lib /var/spool -not -path /var/lib/dpkg/*",
    );
    files += &find("find / -maxdepth 1");
    files += &find("find /run /var/cache /var/tmp -name *exp-rkt-grpc*");
    files += &find("find /var/lib/dpkg/info -name exp-rkt-grpc*");
    files.lines().map(str::to_owned).collect()
}

/// The units of that name that systemd knows, loaded or not.
fn units(machine: &Machine) -> String {
    let list = |command: &str| {
        // Fails where there are none.
        let listed = machine.run([
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
    assert_eq!(host.property("ActiveState"), "active");
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
    host.install(&PACKAGES.next);
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
    host.systemctl("enable --now exp-rkt-grpc-query.timer");
    host.scrape();
    host.remove_package("--remove");
    host.machine
        .network(|| http::get(METRICS, "/metrics"))
        .expect_err("nobody listens");
    assert_eq!(host.property("ActiveState"), "inactive");
    host.machine.succeed("test -s /etc/default/exp-rkt-grpc");
    assert_eq!(host.machine.property(SERVICE, "LoadState"), "not-found");
}

#[test]
fn a_purge_leaves_nothing() {
    let Some((host, before)) = Host::boot_and("purged", files) else {
        return;
    };
    host.systemctl("enable --now exp-rkt-grpc-query.timer");
    host.scrape();
    // systemd's mount points in /run/exp-rkt-grpc/root and the copies in /run/exp-rkt-grpc-names survive a stop, and a second
    // start creates another mount point, bin. The purge must remove them, too.
    host.systemctl("stop exp-rkt-grpc");
    host.scrape();
    let installed = files(&host.machine);
    assert!(installed.difference(&before).count() > 20);
    assert_ne!(units(&host.machine), "");
    host.remove_package("--purge");
    let left: Vec<String> = files(&host.machine).difference(&before).cloned().collect();
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(units(&host.machine), "");
    let known = host.machine.run(["dpkg-query", "--show", "exp-rkt-grpc"]);
    assert!(!known.status.success(), "{known:?}");
}
