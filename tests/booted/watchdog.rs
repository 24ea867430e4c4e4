//! systemd's watchdog leaves a service alone whose stores hang. `scrapes` and `state` test that it replaces a service that hangs.

use lab::poll::eventually;
use lab::rkt_api_service::{Behaviour, Images};
use lab::service::PATIENCE;

use crate::host::{Host, SERVICE};

fn restarts(host: &Host) -> u32 {
    host.property("NRestarts").parse().expect("it is a number")
}

/// Waits until systemd has received the service's next keep-alive notification.
fn wait_for_a_keep_alive(host: &Host) {
    let last = || host.property("WatchdogTimestampMonotonic");
    let before = last();
    eventually("a keep-alive", || (last() != before).then_some(()));
}

#[test]
fn the_watchdog_is_kept_alive_while_a_store_is_down_or_hangs() {
    let Some(host) = Host::boot("patient") else {
        return;
    };
    // Longer than a busy machine takes to schedule the service.
    host.edit(SERVICE, "[Service]\nWatchdogSec=10s\n");
    host.systemctl("start exp-rkt-grpc");
    let process = host.property("MainPID");
    assert_eq!(host.query().sum("imagestore_up"), Some(0.0));
    let store = host.store(Images::generated(1));
    store.behave(Behaviour::Hang);
    host.systemctl("kill --signal=SIGQUIT exp-rkt-grpc");
    store.wait_for_calls(1, PATIENCE);
    wait_for_a_keep_alive(&host);
    wait_for_a_keep_alive(&host);
    assert_eq!(store.open_connections(), 1);
    assert_eq!(host.property("WatchdogUSec"), "10s");
    assert_eq!(host.property("MainPID"), process);
    assert_eq!(restarts(&host), 0);
}
