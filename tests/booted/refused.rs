//! A refused configuration, with and without a waiting scrape: see `src/refusal.rs`.

use lab::poll::eventually;
use lab::service::http;
use serde_json::Value;

use crate::host::{Host, METRICS, SERVICE, SOCKET};

const DEFAULTS: &str = "/etc/default/exp-rkt-grpc";
const REFUSED: &str = "EXP_RKT_GRPC_DEADLINE=never\n";
const SENTENCE: &str = "configuration refused: invalid value \"never\" for --deadline";

/// systemd's "Starting …".
const STARTING: &str = "MESSAGE_ID=7d4958e842da4a758f6c1cdc7b36dcc5";

/// In microseconds. In this time there is at most one start attempt.
const HALF_A_MINUTE: u64 = 30_000_000;

/// The most log lines between two start attempts.
const LINES: usize = 5;

/// Sends a scrape, which waits for its answer.
fn queue_a_scrape(host: &Host) -> http::Connection {
    host.machine.network(|| {
        let mut connection = http::Connection::open(METRICS).expect("the socket listens");
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
        connection.send(request).expect("the kernel takes it");
        connection
    })
}

#[track_caller]
fn wait_until_refused(host: &Host) {
    eventually("the refusal", || {
        host.property("StatusText")
            .starts_with(SENTENCE)
            .then_some(())
    });
    assert_eq!(host.property("SubState"), "start");
}

/// When each of these entries was sent, in microseconds; journald may have received it later.
fn sent(entries: &[Value]) -> Vec<u64> {
    let micros = |entry: &Value| entry["_SOURCE_REALTIME_TIMESTAMP"].as_str()?.parse().ok();
    let micros = entries.iter().map(micros);
    micros
        .map(|micros| micros.expect("each entry has a timestamp"))
        .collect()
}

#[test]
fn without_a_waiting_scrape_the_start_fails_at_once_and_the_unit_shows_why() {
    let Some(host) = Host::boot("refused-alone") else {
        return;
    };
    host.machine.write(DEFAULTS, REFUSED);
    let started = host.machine.run(["systemctl", "start", SERVICE]);
    assert!(!started.status.success(), "{started:?}");
    let failed = host.systemctl("list-units --failed --plain --no-legend");
    assert!(failed.starts_with(SERVICE), "{failed}");
    assert_eq!(host.property("ExecMainStatus"), "78");
    assert!(host.property("StatusText").starts_with(SENTENCE));
    // Without reset-failed.
    host.machine.write(DEFAULTS, "");
    host.systemctl("start exp-rkt-grpc");
    host.scrape();
}

/// This test takes as long as the refusal lasts.
#[test]
fn with_a_scrape_waiting_there_is_one_attempt_in_half_a_minute_until_a_restart_answers_it() {
    let Some(host) = Host::boot("refused-queued") else {
        return;
    };
    host.machine.write(DEFAULTS, REFUSED);
    let mut scrape = queue_a_scrape(&host);
    wait_until_refused(&host);
    let attempts = || host.machine.journal(["--unit=exp-rkt-grpc", STARTING]);
    eventually("the next attempt", || (attempts().len() >= 2).then_some(()));
    let begun = sent(&attempts());
    assert!(begun[1] - begun[0] >= HALF_A_MINUTE, "{}", host.log());
    wait_until_refused(&host);
    let entries = host
        .machine
        .journal(["--unit=exp-rkt-grpc", "--unit=exp-rkt-grpc.socket"]);
    let lines = sent(&entries);
    let lines = lines
        .iter()
        .filter(|sent| (begun[0]..begun[1]).contains(sent));
    assert!(lines.count() <= LINES, "{}", host.log());
    let status = host.property("StatusText");
    assert!(status.starts_with(SENTENCE), "{status}");

    // The refusal does not delay the restart, and reset-failed is not needed.
    host.machine.write(DEFAULTS, "");
    host.systemctl("restart exp-rkt-grpc");
    assert_eq!(attempts().len(), 3, "{}", host.log());
    let answer = scrape.receive().expect("the waiting scrape is answered");
    assert_eq!(answer.status, 200);
    assert_eq!(host.property("NRestarts"), "0");
}

#[test]
fn a_stop_ends_a_refusal_at_once_and_the_unit_still_shows_why() {
    let Some(host) = Host::boot("refused-stopped") else {
        return;
    };
    host.machine.write(DEFAULTS, REFUSED);
    let _scrape = queue_a_scrape(&host);
    wait_until_refused(&host);
    // If only the service were stopped, the waiting scrape would start it again.
    host.systemctl("stop exp-rkt-grpc.socket exp-rkt-grpc.service");
    assert_eq!(host.property("Result"), "exit-code");
    assert_eq!(host.property("ExecMainStatus"), "78");
    assert!(host.property("StatusText").starts_with(SENTENCE));
    assert_eq!(host.machine.property(SOCKET, "ActiveState"), "inactive");
    let attempts = host.machine.journal(["--unit=exp-rkt-grpc", STARTING]);
    assert_eq!(attempts.len(), 1, "{}", host.log());
}
