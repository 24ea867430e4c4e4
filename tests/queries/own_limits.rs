//! Failures that are not the store's: limits of this process or host, and names that do not resolve.

use lab::service::{PATIENCE, run};
use lab::tempdir;

use super::{program, tcp_and_unix};

const PROGRAM: &str = env!("CARGO_BIN_EXE_exp-rkt-grpc");

#[test]
fn the_error_of_a_query_without_a_free_descriptor_names_our_own_limit() {
    let folder = tempdir().expect("a temporary folder can be made");
    for store in tcp_and_unix(&folder) {
        let service = program().store(store.url()).start();
        // The service keeps its open descriptors and gets no new one, not even to send its status to systemd.
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

/// Runs a query in a network namespace with this resolver. Packets to 192.0.2.2 and 192.0.2.3 are lost, nothing listens at
/// 127.0.0.1, and 198.51.100.1 is prohibited. Needs root.
const NETWORK: &str = "
    set -e
    ip link set lo up
    ip link add silent0 type veth peer name silent1
    ip address add 192.0.2.1/24 dev silent0
    ip link set silent0 up
    ip link set silent1 up
    for silent in 2 3; do
        ip neighbour add 192.0.2.$silent lladdr 02:00:00:00:00:0$silent dev silent0
    done
    ip route add prohibit 198.51.100.0/24
    echo \"nameserver $2\" > \"$3\"
    mount --bind \"$3\" /etc/resolv.conf
    exec \"$0\" query --output json --deadline \"$4\" --store \"$1\"
";

/// The output of a query of a store at `host` in that network.
fn query_in_network(host: &str, resolver: &str, deadline: &str) -> String {
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
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!printed.is_empty(), "{output:?}");
    printed
}

#[test]
fn the_error_for_a_hanging_name_lookup_names_the_lookup() {
    let printed = query_in_network("store.test", "192.0.2.2", "500ms");
    let why = "no complete answer within 500ms: the lookup of the name store.test has not ended";
    assert!(printed.contains(why), "{printed}");
    assert!(printed.contains("\"DEADLINE_EXCEEDED\""), "{printed}");
}

#[test]
fn the_error_for_an_unknown_name_names_the_lookup() {
    let printed = query_in_network("store.test", "127.0.0.1", "60s");
    let why = "cannot connect to http://store.test:15441: failed to lookup address information";
    assert!(printed.contains(why), "{printed}");
    assert!(printed.contains("\"UNAVAILABLE\""), "{printed}");
}

#[test]
fn the_error_for_an_unreachable_address_names_the_connection() {
    let printed = query_in_network("192.0.2.3", "127.0.0.1", "500ms");
    let why =
        "no complete answer within 500ms: http://192.0.2.3:15441 has not accepted the connection";
    assert!(printed.contains(why), "{printed}");
}

#[test]
fn a_prohibited_address_is_reported_as_permission_denied() {
    let printed = query_in_network("198.51.100.1", "127.0.0.1", "60s");
    let why = "not permitted to connect to http://198.51.100.1:15441";
    assert!(printed.contains(why), "{printed}");
    assert!(printed.contains("\"PERMISSION_DENIED\""), "{printed}");
}
