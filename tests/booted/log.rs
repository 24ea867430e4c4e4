//! Log lines reach the journal after journald restarts, and in a log namespace.

use lab::poll::eventually;
use serde_json::Value;

use crate::host::{Host, SERVICE};

const COUNTED: &str = "MESSAGE_ID=639706cf8d6a4a389604c9f92f4f82c9";

#[test]
fn lines_arrive_after_journald_has_recreated_its_sockets() {
    let Some(host) = Host::boot("journald") else {
        return;
    };
    let _store = host.store(lab::rkt_api_service::Images::generated(2));
    host.systemctl("start exp-rkt-grpc");
    let process = host.property("MainPID");
    let lines = || host.machine.journal([COUNTED]).len();
    let query = |count| {
        host.query();
        eventually("the line", || (lines() == count).then_some(()));
    };
    query(1);
    host.systemctl("restart systemd-journald.socket systemd-journald.service");
    query(2);
    host.machine.succeed("rm /run/systemd/journal/socket");
    host.systemctl("restart systemd-journald.socket systemd-journald.service");
    query(3);
    assert_eq!(host.property("MainPID"), process);
}

#[test]
fn lines_go_to_the_log_namespace_that_a_drop_in_sets() {
    let Some(host) = Host::boot("namespace") else {
        return;
    };
    host.edit(SERVICE, "[Service]\nLogNamespace=images\n");
    for drop_ins in [&[][..], &["cri.conf"]] {
        host.drop_in(drop_ins);
        host.systemctl("restart exp-rkt-grpc");
        let of_process = format!("_PID={}", host.property("MainPID"));
        // Entries of the journal's native protocol, not lines of standard error.
        let native = ["_TRANSPORT=journal", &of_process];
        let ready = eventually("the line", || {
            host.machine.succeed("journalctl --namespace=images --sync");
            let lines = [&["--namespace=images"][..], &native].concat();
            host.machine.journal(lines).pop()
        });
        let message = ready["MESSAGE"].as_str().unwrap_or_default();
        assert!(message.starts_with("serving metrics"), "{ready:#}");
        assert_eq!(host.machine.journal(native), Vec::<Value>::new());
    }
}
