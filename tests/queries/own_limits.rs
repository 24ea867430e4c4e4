//! What is not the store's fault: a limit of this process or host, and names that are not found.

use lab::rkt_api_service::{Images, StandIn};
use lab::service::run;
use lab::tempdir;

use super::IMAGES;

const PROGRAM: &str = env!("CARGO_BIN_EXE_exp-rkt-grpc");

/// What a query says when it may hold so many file descriptors.
fn told_with_descriptors(limit: u32, store: &str) -> String {
    let script = format!("ulimit -n {limit}; exec \"$0\" query --output json --store \"$1\"");
    let output = run(
        "/bin/sh",
        ["-c", &script, PROGRAM, store],
        &[("OTEL_TRACES_EXPORTER", "none")],
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_query_without_a_descriptor_left_is_a_limit_of_ours() {
    let folder = tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("api.sock");
    let unix = StandIn::unix(&path, Images::generated(IMAGES)).expect("the path is free");
    for store in [StandIn::tcp(Images::generated(IMAGES)), unix] {
        // From too few to begin with, to enough: in between is the one that a connection lacks.
        let told: Vec<String> = (3..40)
            .map(|limit| told_with_descriptors(limit, &store.url()))
            .filter(|told| told.contains("\"code\""))
            .collect();
        assert!(!told.is_empty(), "no query failed");
        for told in told {
            for part in [
                "\"RESOURCE_EXHAUSTED\"",
                "Too many open files",
                "LimitNOFILE=",
                "the store was not reached",
            ] {
                assert!(told.contains(part), "no {part:?} in {told}");
            }
        }
    }
}

/// A resolver that never answers, in a network of its own: what is sent to its neighbours goes nowhere. Needs root.
const SILENT_RESOLVER: &str = "
    set -e
    ip link set lo up
    ip link add silent0 type veth peer name silent1
    ip address add 192.0.2.1/24 dev silent0
    ip link set silent0 up
    ip link set silent1 up
    for nobody in 2 3; do
        ip neighbour add 192.0.2.$nobody lladdr 02:00:00:00:00:0$nobody dev silent0
    done
    echo 'nameserver 192.0.2.2' > \"$2\"
    mount --bind \"$2\" /etc/resolv.conf
    exec \"$0\" query --output json --deadline 500ms --store \"$1\"
";

#[test]
fn a_name_lookup_that_hangs_is_told_as_the_name_lookup_s() {
    let folder = tempdir().expect("a temporary folder can be made");
    let resolver = folder.path().join("resolv.conf");
    let resolver = resolver.display().to_string();
    let store = "rkt+http://store.test:15441";
    let output = run(
        "/usr/bin/unshare",
        [
            "-mn",
            "/bin/sh",
            "-c",
            SILENT_RESOLVER,
            PROGRAM,
            store,
            &resolver,
        ],
        &[("OTEL_TRACES_EXPORTER", "none")],
    );
    let told = String::from_utf8_lossy(&output.stdout);
    let why = "no complete answer within 500ms: the lookup of the name store.test has not ended";
    assert!(told.contains(why), "{told} {output:?}");
    assert!(told.contains("\"DEADLINE_EXCEEDED\""), "{told}");
}

/// The same network: nobody answers at this address either, not even to refuse.
#[test]
fn an_address_that_leads_nowhere_is_told_as_not_connected() {
    let folder = tempdir().expect("a temporary folder can be made");
    let resolver = folder.path().join("resolv.conf");
    let resolver = resolver.display().to_string();
    let store = "rkt+http://192.0.2.3:15441";
    let output = run(
        "/usr/bin/unshare",
        [
            "-mn",
            "/bin/sh",
            "-c",
            SILENT_RESOLVER,
            PROGRAM,
            store,
            &resolver,
        ],
        &[("OTEL_TRACES_EXPORTER", "none")],
    );
    let told = String::from_utf8_lossy(&output.stdout);
    let why =
        "no complete answer within 500ms: http://192.0.2.3:15441 has not accepted the connection";
    assert!(told.contains(why), "{told} {output:?}");
}
