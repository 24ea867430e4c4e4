//! `/etc/hosts` and `/etc/resolv.conf` are replaced while the service runs.

use lab::name_server::NameServer;
use lab::poll::eventually;
use lab::rkt_api_service::Images;

use crate::host::Host;

const NAME: &str = "store.example";

/// A service with a store at that host name, which does not resolve yet.
struct Scene {
    host: Host,
    process: String,
}

impl Scene {
    #[track_caller]
    fn boot(name: &str, settle: impl FnOnce(&Host)) -> Option<Self> {
        let host = Host::boot(name)?;
        host.machine.write(
            "/etc/default/exp-rkt-grpc",
            format!("EXP_RKT_GRPC_STORE=rkt+http://{NAME}:15441\n"),
        );
        // They may be links, even to outside of the machine.
        host.machine
            .succeed("rm --force /etc/hosts /etc/resolv.conf");
        settle(&host);
        host.systemctl("start exp-rkt-grpc");
        let process = host.property("MainPID");
        Some(Self { host, process })
    }

    fn restart(&mut self) {
        self.host.systemctl("restart exp-rkt-grpc");
        self.process = self.host.property("MainPID");
    }

    /// Replaces the file at this path, and waits until the service sees the content as `/etc/{copy}`.
    #[track_caller]
    fn replace(&self, path: &str, content: &str, copy: &str) {
        let machine = &self.host.machine;
        // A change while a copy ends is a different case: see exp-rkt-grpc-names.service.
        eventually("systemd to watch", || {
            let states = machine.property("exp-rkt-grpc-names@*.path", "SubState");
            let waiting = |state: &str| state.is_empty() || state == "waiting";
            states.lines().all(waiting).then_some(())
        });
        let new = format!("{path}.new");
        machine.write(&new, content);
        machine.succeed(&format!("mv {new} {path}"));
        let copy = machine.path(format!("/proc/{}/root/etc/{copy}", self.process));
        eventually("the copy", || {
            let copied = std::fs::read_to_string(&copy).unwrap_or_default();
            (copied == content).then_some(())
        });
    }

    /// A query reaches the store or does not, and the service has not been restarted.
    #[track_caller]
    fn assert_found(&self, found: bool) {
        let up = self
            .host
            .query()
            .value("imagestore_up", &[("store", "rkt")]);
        assert_eq!(up, Some(f64::from(u8::from(found))), "{}", self.host.log());
        assert_eq!(self.host.property("MainPID"), self.process);
    }
}

#[test]
fn a_name_is_looked_up_in_etc_hosts_after_it_was_replaced() {
    let Some(scene) = Scene::boot("hosts", |host| {
        host.machine.write("/etc/hosts", "127.0.0.1 localhost\n");
    }) else {
        return;
    };
    let _store = scene.host.store(Images::generated(2));
    scene.assert_found(false);
    for line in [
        "127.0.0.1 store.example\n",
        "127.0.0.1 store.example # again\n",
    ] {
        scene.replace("/etc/hosts", line, "hosts");
        scene.assert_found(true);
    }
    scene.replace("/etc/hosts", "127.0.0.1 localhost\n", "hosts");
    scene.assert_found(false);
}

/// The link is systemd-resolved's, through the old name of /run.
#[test]
fn a_name_server_is_queried_after_the_target_of_resolv_conf_was_replaced() {
    const STUB: &str = "/run/systemd/resolve/stub-resolv.conf";
    let Some(mut scene) = Scene::boot("resolv-conf", |host| {
        host.machine
            .succeed("ln --symbolic ../var/run/systemd/resolve/stub-resolv.conf /etc/resolv.conf");
    }) else {
        return;
    };
    let _store = scene.host.store(Images::generated(2));
    scene.assert_found(false);
    for address in ["127.0.0.53", "127.0.0.54"] {
        let address = address.parse().expect("an address");
        let name_server = scene
            .host
            .machine
            .network(|| NameServer::bind_at(address, &[NAME]))
            .expect("the port is free");
        scene.replace(STUB, &name_server.settings(), "resolv.conf");
        scene.assert_found(true);
        scene.restart();
        scene.assert_found(true);
    }
}

#[test]
fn after_a_restart_names_are_looked_up_in_the_current_files() {
    let Some(mut scene) = Scene::boot("names-restart", |_| ()) else {
        return;
    };
    let _store = scene.host.store(Images::generated(2));
    scene.assert_found(false);
    // As after the target of a link has changed, which systemd does not report.
    scene
        .host
        .systemctl("stop exp-rkt-grpc-names@etc-hosts.path");
    scene
        .host
        .machine
        .write("/etc/hosts", "127.0.0.1 store.example\n");
    scene.restart();
    scene.assert_found(true);
}
