//! Everyday operation: start, trigger, reconfigure and stop the service, and what systemctl and the journal show.

use std::net::SocketAddr;

use lab::mistakes;
use lab::poll::eventually;
use lab::rkt_api_service::{Behaviour, Images};
use lab::service::{PATIENCE, http};
use serde_json::Value;

use crate::host::{EXAMPLES, Host, SERVICE, SOCKET};

fn field<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} is missing in {entry:#}"))
}

#[test]
fn a_store_that_is_down_is_shown_in_the_status_and_the_service_keeps_running() {
    let Some(host) = Host::boot("down") else {
        return;
    };
    host.systemctl("start exp-rkt-grpc");
    let scrape = host.query();
    assert_eq!(
        scrape.value("imagestore_up", &[("store", "rkt")]),
        Some(0.0)
    );
    let status = host.property("StatusText");
    assert!(
        status.starts_with("rkt: query failed: cannot connect to http://127.0.0.1:15441"),
        "{status}"
    );
    mistakes::named("no store configured").assert_reported_in(&status);
    assert_eq!(host.property("ActiveState"), "active");
    assert_eq!(host.property("NRestarts"), "0");
}

/// The sandbox restricts the addresses that the service connects to, not those that connect to it.
#[test]
fn a_socket_at_another_address_can_be_scraped_from_outside_of_localhost() {
    let outside: SocketAddr = "10.77.0.1:33333".parse().expect("an address");
    let Some(host) = Host::boot("outside") else {
        return;
    };
    host.machine.succeed("ip address add 10.77.0.1/32 dev lo");
    host.edit(
        SOCKET,
        &format!("[Socket]\nListenStream=\nListenStream={outside}\n"),
    );
    host.systemctl("restart exp-rkt-grpc.socket");
    let response = host.machine.network(|| http::get(outside, "/metrics"));
    assert_eq!(response.expect("the scrape is answered").status, 200);
}

#[test]
fn a_socket_for_a_group_can_be_scraped_by_its_members_only() {
    const CURL: &str = "curl --silent --show-error --unix-socket /run/exp-rkt-grpc/metrics.sock \
        --write-out '%{http_code}' --output /dev/null http://localhost/metrics";
    let Some(host) = Host::boot("group") else {
        return;
    };
    // Debian's package prometheus has made the group.
    host.machine.succeed(&format!(
        "install -D -m 644 -t /etc/systemd/system/{SOCKET}.d {EXAMPLES}/unix-socket.conf"
    ));
    host.systemctl("daemon-reload");
    // Since the last call. Until the restart, systemd warns that the socket is not the configured one.
    let warnings = format!(
        "journalctl --quiet --output=cat --priority=warning --unit={SOCKET} --cursor-file=/run/warnings"
    );
    assert!(host.machine.succeed(&warnings).contains("until restarted"));
    host.systemctl("restart exp-rkt-grpc.socket");
    assert_eq!(host.machine.succeed(&warnings), "");
    let scrape = |group: &str| {
        let command = format!("setpriv --reuid=nobody --regid={group} --clear-groups {CURL}");
        let output = host.machine.run(["sh", "-c", &command]);
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    // 7: curl could not connect.
    assert_eq!(scrape("nogroup"), (Some(7), "000".to_owned()));
    assert_eq!(
        scrape("prometheus"),
        (Some(0), "200".to_owned()),
        "{}",
        host.log()
    );
    let listening = host
        .machine
        .succeed("ss --no-header --listening --tcp --numeric");
    assert!(!listening.contains(":33333"), "{listening}");
    host.systemctl("stop exp-rkt-grpc.socket exp-rkt-grpc.service");
    host.machine
        .succeed("test ! -e /run/exp-rkt-grpc/metrics.sock");
}

#[test]
fn the_enabled_service_comes_up_by_itself_when_the_machine_boots() {
    let Some(host) = Host::boot_enabled("enabled", &[SERVICE]) else {
        return;
    };
    assert_eq!(host.property("ActiveState"), "active");
    assert_eq!(host.property("NRestarts"), "0");
    host.scrape();
}

#[test]
fn a_trigger_updates_the_gauge_and_the_status() {
    let Some(host) = Host::boot("trigger") else {
        return;
    };
    let store = host.store(Images::generated(3));
    host.systemctl("start exp-rkt-grpc");
    assert_eq!(host.property("SubState"), "running");
    assert_eq!(host.of_rkt("imagestore_images"), None);
    let images = |count: usize| {
        let scrape = host.query();
        assert_eq!(
            scrape.value("imagestore_images", &[("store", "rkt")]),
            Some(count as f64),
            "{}",
            host.log()
        );
        let shown = host.systemctl("status --no-pager exp-rkt-grpc");
        let expected = format!("Status: \"rkt: {count} images, queried in ");
        assert!(shown.contains(&expected), "{shown}");
    };
    images(3);
    store.serve_images(Images::generated(5));
    images(5);
}

#[test]
fn the_journal_finds_a_query_by_the_id_of_its_trace() {
    let Some(host) = Host::boot("journal") else {
        return;
    };
    let _store = host.store(Images::generated(7));
    let agent = host.jaeger_agent();
    host.systemctl("start exp-rkt-grpc");
    host.query();
    let trace = agent.next_trace(PATIENCE);
    let trace_id = trace.id_hex();

    let found = eventually("the line", || {
        let found = host.machine.journal([format!("TRACE_ID={trace_id}")]);
        (!found.is_empty()).then_some(found)
    });
    let [line] = found.as_slice() else {
        panic!("{found:#?}");
    };
    assert_eq!(field(line, "_SYSTEMD_UNIT"), SERVICE);
    assert_eq!(field(line, "SYSLOG_IDENTIFIER"), "exp-rkt-grpc");
    assert_eq!(field(line, "IMAGESTORE_STORE"), "rkt");
    assert_eq!(field(line, "IMAGESTORE_IMAGES"), "7");
    assert_eq!(field(line, "PRIORITY"), "6");
    assert_eq!(field(line, "MESSAGE_ID").len(), 32);
    assert_eq!(field(line, "SPAN_ID").len(), 16);
    assert!(field(line, "MESSAGE").starts_with("images counted"));

    let explained = host
        .machine
        .run(["journalctl", "--catalog", &format!("TRACE_ID={trace_id}")]);
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    let subject = "Subject: The image store rkt holds 7 images";
    assert!(explained.contains(subject), "{explained}");

    let of_unit = host.machine.journal(["--unit=exp-rkt-grpc"]);
    assert!(of_unit.contains(line), "{of_unit:#?}");
}

#[test]
fn a_changed_setting_takes_effect_by_a_restart_and_no_number_is_lost() {
    let Some(host) = Host::boot("setting") else {
        return;
    };
    let _store = host.store(Images::generated(4));
    host.systemctl("start exp-rkt-grpc");
    let before = host.query();
    let number = |name: &str| before.value(name, &[("store", "rkt")]);
    let kept = [
        "imagestore_images",
        "imagestore_last_success_timestamp_seconds",
    ];
    let kept = kept.map(|name| (name, number(name)));
    assert_eq!(kept[0].1, Some(4.0));

    host.machine.write(
        "/etc/default/exp-rkt-grpc",
        "EXP_RKT_GRPC_STORE=rkt+http://127.0.0.1:15441,second=rkt+http://127.0.0.1:15442\n",
    );
    host.systemctl("restart exp-rkt-grpc");
    let after = host.scrape();
    for (name, value) in kept {
        assert_eq!(after.value(name, &[("store", "rkt")]), value, "{name}");
    }
    let queries = |store: &str| after.value("imagestore_queries_total", &[("store", store)]);
    assert_eq!(queries("second"), Some(0.0));
}

#[test]
fn a_changed_address_takes_effect_by_a_restart_of_the_socket_and_not_of_the_service_alone() {
    let Some(host) = Host::boot("address") else {
        return;
    };
    host.systemctl("start exp-rkt-grpc");
    // An address that the machine does not have yet.
    let later: SocketAddr = "10.77.0.2:33334".parse().expect("an address");
    host.edit(
        SOCKET,
        &format!("[Socket]\nListenStream=\nListenStream={later}\n"),
    );
    let restarted = host.machine.run(["systemctl", "restart", SERVICE]);
    assert!(!restarted.status.success());
    assert_eq!(host.property("ExecMainStatus"), "78");
    mistakes::named("changed address of the socket unit").assert_reported_in(&host.log());

    // More often than five times in ten seconds, systemd's default limit.
    for _ in 0..7 {
        host.systemctl("restart exp-rkt-grpc.socket");
    }
    host.machine.succeed("ip address add 10.77.0.2/32 dev lo");
    let response = host.machine.network(|| http::get(later, "/metrics"));
    assert_eq!(response.expect("the scrape is answered").status, 200);
}

#[test]
fn a_stop_during_a_query_is_a_clean_exit() {
    let Some(host) = Host::boot("stop") else {
        return;
    };
    let store = host.store(Images::generated(1));
    store.behave(Behaviour::Hang);
    host.systemctl("start exp-rkt-grpc");
    host.systemctl("kill --signal=SIGQUIT exp-rkt-grpc");
    store.wait_for_calls(1, PATIENCE);
    host.machine.succeed("systemctl stop exp-rkt-grpc");
    assert_eq!(host.property("ActiveState"), "inactive");
    assert_eq!(host.property("Result"), "success");
    assert_eq!(host.property("ExecMainStatus"), "0");
    assert_eq!(host.machine.property(SOCKET, "ActiveState"), "active");
    let log = host.log();
    assert!(log.contains("stopping signal=SIGTERM"), "{log}");
}

#[test]
fn signals_in_quick_succession_are_merged_and_do_not_end_the_service() {
    let Some(host) = Host::boot("row") else {
        return;
    };
    let store = host.store(Images::generated(1));
    host.systemctl("start exp-rkt-grpc");
    store.behave(Behaviour::Hang);
    for _ in 0..20 {
        host.systemctl("kill --signal=SIGQUIT exp-rkt-grpc");
    }
    store.wait_for_calls(1, PATIENCE);
    store.behave(Behaviour::Answer);
    store.release();
    eventually("the second query", || {
        (host.of_rkt("imagestore_queries_total") == Some(2.0)).then_some(())
    });
    assert_eq!(host.property("NRestarts"), "0");
}
