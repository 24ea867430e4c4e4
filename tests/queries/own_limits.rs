//! What is not the store's fault: a limit of this process or host, and names that are not found.

use lab::service::{PATIENCE, run};
use lab::tempdir;

use super::{program, tcp_and_unix};

const PROGRAM: &str = env!("CARGO_BIN_EXE_exp-rkt-grpc");

#[test]
fn a_query_without_a_descriptor_left_is_a_limit_of_ours() {
    let folder = tempdir().expect("a temporary folder can be made");
    for store in tcp_and_unix(&folder) {
        let service = program().store(store.url()).start();
        // It has what it has, and gets no other one: not for the status that it would send to systemd either.
        let pid = format!("--pid={}", service.pid());
        run("prlimit", [pid.as_str(), "--nofile=3"], &[]);
        service.trigger();
        let log = service.wait_for_stderr(|log| log.contains(" ERROR query failed "), PATIENCE);
        for part in [
            "code=\"RESOURCE_EXHAUSTED\"",
            "Too many open files",
            "LimitNOFILE=",
            "the store was not reached",
        ] {
            assert!(log.contains(part), "no {part:?} in {log}");
        }
    }
}

/// A network of its own with this resolver: what is sent to its neighbours, 192.0.2.2 and 192.0.2.3, goes nowhere, and nobody
/// listens at 127.0.0.1; 198.51.100.1 is forbidden. Needs root.
const NETWORK: &str = "
    set -e
    ip link set lo up
    ip link add silent0 type veth peer name silent1
    ip address add 192.0.2.1/24 dev silent0
    ip link set silent0 up
    ip link set silent1 up
    for nobody in 2 3; do
        ip neighbour add 192.0.2.$nobody lladdr 02:00:00:00:00:0$nobody dev silent0
    done
    ip route add prohibit 198.51.100.0/24
    echo \"nameserver $2\" > \"$3\"
    mount --bind \"$3\" /etc/resolv.conf
    exec \"$0\" query --output json --deadline \"$4\" --store \"$1\"
";

/// What a query in that network says of a store at `host`.
fn told_in_network(host: &str, resolver: &str, deadline: &str) -> String {
    let folder = tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("resolv.conf").display().to_string();
    let store = format!("rkt+http://{host}:15441");
    let script = ["-mn", "/bin/sh", "-c", NETWORK];
    let arguments = [PROGRAM, &store, resolver, &file, deadline];
    let output = run(
        "/usr/bin/unshare",
        script.iter().chain(&arguments),
        &[("OTEL_TRACES_EXPORTER", "none")],
    );
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!told.is_empty(), "{output:?}");
    told
}

#[test]
fn a_name_lookup_that_hangs_is_told_as_the_name_lookup_s() {
    let told = told_in_network("store.test", "192.0.2.2", "500ms");
    let why = "no complete answer within 500ms: the lookup of the name store.test has not ended";
    assert!(told.contains(why), "{told}");
    assert!(told.contains("\"DEADLINE_EXCEEDED\""), "{told}");
}

#[test]
fn a_name_that_is_not_found_is_told_as_that() {
    let told = told_in_network("store.test", "127.0.0.1", "60s");
    let why = "cannot connect to http://store.test:15441: failed to lookup address information";
    assert!(told.contains(why), "{told}");
    assert!(told.contains("\"UNAVAILABLE\""), "{told}");
}

#[test]
fn an_address_that_leads_nowhere_is_told_as_not_connected() {
    let told = told_in_network("192.0.2.3", "127.0.0.1", "500ms");
    let why =
        "no complete answer within 500ms: http://192.0.2.3:15441 has not accepted the connection";
    assert!(told.contains(why), "{told}");
}

#[test]
fn an_address_that_this_host_forbids_is_told_as_not_permitted() {
    let told = told_in_network("198.51.100.1", "127.0.0.1", "60s");
    let why = "not permitted to connect to http://198.51.100.1:15441";
    assert!(told.contains(why), "{told}");
    assert!(told.contains("\"PERMISSION_DENIED\""), "{told}");
}
