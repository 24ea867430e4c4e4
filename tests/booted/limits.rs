//! The resource limits of the unit, and the most that the service uses.
//!
//! These machines have no cgroup controllers for memory and tasks (see `tests/lab/sdbox`), so nothing enforces the limits: the
//! tests read them from systemd and compare them with the measured use.

use lab::exposition::Scrape;
use lab::poll::eventually;
use lab::service::http;

use crate::host::{Host, METRICS, SERVICE};

/// See docs/scraping.md, "Limits".
const CONNECTIONS: usize = 640;

/// The bytes of unread answers that the kernel holds for each of them: see `SEND_BUFFER` in `src/activation/listening.rs`.
const UNREAD: f64 = 64.0 * 1024.0;

/// More than the largest number of concurrent lookups.
const STORES: usize = 40;

/// Longer request heads are refused.
const HEAD: usize = 8 * 1024;

fn allowed(host: &Host, property: &str) -> f64 {
    let allowed = host.property(property);
    allowed
        .parse()
        .unwrap_or_else(|_| panic!("{property}={allowed}"))
}

fn value(scrape: &Scrape, name: &str) -> f64 {
    scrape.value(name, &[]).expect("every scrape has it")
}

/// The peak resident memory of the process.
fn peak(host: &Host) -> f64 {
    let status = host
        .machine
        .succeed(&format!("cat /proc/{}/status", host.property("MainPID")));
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
    let kilobytes: f64 = peak
        .and_then(|peak| peak.trim().parse().ok())
        .expect("the kernel shows VmHWM");
    kilobytes * 1024.0
}

/// Connections that send requests without reading an answer, and have sent most of a further request.
fn hold(host: &Host) -> Vec<http::Connection> {
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n";
    let unfinished = format!("{request}X: {}", "x".repeat(HEAD - request.len() - 8));
    host.machine.network(|| {
        let held = (0..CONNECTIONS).map(|_| {
            let mut connection = http::Connection::open(METRICS).expect("the socket listens");
            let sent = connection
                .send(format!("{request}\r\n").repeat(20).as_bytes())
                .and_then(|()| connection.send(unfinished.as_bytes()));
            sent.expect("the kernel takes it");
            connection
        });
        held.collect()
    })
}

#[test]
fn the_service_stays_within_the_limits_of_its_unit() {
    let Some(host) = Host::boot("limits") else {
        return;
    };
    // Each lookup waits for a name server that never answers.
    let silent = host
        .machine
        .network(|| std::net::UdpSocket::bind("127.0.0.1:53"));
    let _silent = silent.expect("the port is free");
    // On Debian 13, /etc/resolv.conf is a link to a file that does not exist.
    host.machine.succeed("rm --force /etc/resolv.conf");
    host.machine
        .write("/etc/resolv.conf", "nameserver 127.0.0.1\n");
    let stores: Vec<String> = (0..STORES)
        .map(|store| format!("s{store}=rkt+http://store{store}.example:15441"))
        .collect();
    host.machine.write(
        "/etc/default/exp-rkt-grpc",
        format!("EXP_RKT_GRPC_STORE={}\n", stores.join(",")),
    );
    host.systemctl("start exp-rkt-grpc");
    host.systemctl("kill --signal=SIGQUIT exp-rkt-grpc");
    let tasks = allowed(&host, "TasksMax");
    // The main thread, the log's thread, and lookups.
    let threads = eventually("lookups", || {
        let threads = value(&host.scrape(), "process_threads");
        (threads > 10.0).then_some(threads)
    });
    assert!(threads <= tasks, "{threads} of {tasks}");

    let held = hold(&host);
    let scrape = eventually("all the connections", || {
        let scrape = host.scrape();
        let asked = [("path", "/metrics"), ("code", "200")];
        let asked = scrape.value("exp_rkt_grpc_http_requests_total", &asked);
        (asked >= Some(CONNECTIONS as f64)).then_some(scrape)
    });
    assert!(value(&scrape, "process_threads") <= tasks);
    let memory = allowed(&host, "MemoryMax");
    let taken = peak(&host) + UNREAD * CONNECTIONS as f64;
    assert!(taken < memory, "{taken} of {memory}");
    assert_eq!(host.machine.property(SERVICE, "LimitNOFILE"), "1024");
    drop(held);
}
