//! What host names are looked up in is replaced while the service runs.

use lab::name_server::NameServer;
use lab::poll::eventually;
use lab::rkt_api_service::Images;

use crate::host::Host;

const NAME: &str = "store.example";

/// A service that has a store by that name, which nothing knows yet.
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
        // It may be a link, or lead out of the machine.
        host.machine
            .succeed("rm --force /etc/hosts /etc/resolv.conf");
        settle(&host);
        host.systemctl("start exp-rkt-grpc");
        let process = host.property("MainPID");
        Some(Self { host, process })
    }

    /// Puts a file of this content in the place of the one at this path, and waits until the service has it as `copy`.
    #[track_caller]
    fn replace(&self, path: &str, content: &str, copy: &str) {
        let machine = &self.host.machine;
        // What changes at the end of a copy is another matter, see exp-rkt-grpc-names.service.
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

    /// A query finds the store, or does not; the service has not been restarted.
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
fn a_store_is_found_by_a_name_that_etc_hosts_has_since_it_was_replaced() {
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

/// As systemd-resolved makes it, by the old name of /run.
#[test]
fn a_name_server_is_asked_that_is_behind_a_link_and_was_replaced() {
    const STUB: &str = "/run/systemd/resolve/stub-resolv.conf";
    let Some(scene) = Scene::boot("resolv-conf", |host| {
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
    }
}

#[test]
fn a_restart_looks_names_up_in_what_is_there_by_then() {
    let Some(mut scene) = Scene::boot("names-restart", |_| ()) else {
        return;
    };
    let _store = scene.host.store(Images::generated(2));
    scene.assert_found(false);
    // As after a link was made to lead elsewhere, which systemd does not report.
    scene
        .host
        .systemctl("stop exp-rkt-grpc-names@etc-hosts.path");
    scene
        .host
        .machine
        .write("/etc/hosts", "127.0.0.1 store.example\n");
    scene.host.systemctl("restart exp-rkt-grpc");
    scene.process = scene.host.property("MainPID");
    scene.assert_found(true);
}
