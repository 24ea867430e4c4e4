//! If the limit on file descriptors is too low, the program ends with a clear message.

use lab::rkt_api_service::{Images, StandIn};
use lab::service::{Service, run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_exp-rkt-grpc");

/// The standard streams.
const OPEN: u32 = 3;

/// Further descriptors that a start needs.
const NEEDED: u32 = 16;

/// With fewer the dynamic linker of a development build cannot open the libraries.
const LEAST: u32 = 5;

fn limit(descriptors: u32) -> String {
    format!("--nofile={descriptors}")
}

#[test]
fn with_too_few_descriptors_the_error_names_the_setting_to_raise() {
    for descriptors in LEAST..OPEN + NEEDED {
        for command in [&["query"][..], &[]] {
            let limit = limit(descriptors);
            let arguments = [&[limit.as_str(), PROGRAM], command].concat();
            let output = run("prlimit", arguments, &[]);
            let printed = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{descriptors}: {printed}");
            assert!(
                printed.contains("raise LimitNOFILE="),
                "{descriptors}: {printed}"
            );
            assert_eq!(printed.lines().count(), 2, "{descriptors}: {printed}");
        }
    }
}

#[test]
fn with_a_limit_of_32_descriptors_queries_and_scrapes_work() {
    let store = StandIn::tcp(Images::generated(7));
    let service = Service::builder("prlimit")
        .arg(limit(32))
        .arg(PROGRAM)
        .store(store.url())
        .start();
    let printed = service.query();
    assert!(printed.starts_with("rkt: 7 images, "), "{printed}");
    service.scrape();
    assert_eq!(service.stop().code(), Some(0));
}
