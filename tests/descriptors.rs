//! A limit on file descriptors that is too low ends in a sentence.

use lab::rkt_api_service::{Images, StandIn};
use lab::service::{Service, run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_exp-rkt-grpc");

/// Standard streams.
const OPEN: u32 = 3;

/// What a start needs besides.
const NEEDED: u32 = 16;

/// Below that the dynamic linker of a development build finds no libraries.
const LEAST: u32 = 5;

fn limit(descriptors: u32) -> String {
    format!("--nofile={descriptors}")
}

#[test]
fn too_few_descriptors_are_a_sentence_that_says_which_setting_helps() {
    for descriptors in LEAST..OPEN + NEEDED {
        for command in [&["query"][..], &[]] {
            let limit = limit(descriptors);
            let arguments = [&[limit.as_str(), PROGRAM], command].concat();
            let output = run("prlimit", arguments, &[]);
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{descriptors}: {told}");
            assert!(told.contains("raise LimitNOFILE="), "{descriptors}: {told}");
            assert_eq!(told.lines().count(), 2, "{descriptors}: {told}");
        }
    }
}

#[test]
fn with_a_limit_of_32_a_query_is_answered_and_scraped() {
    let store = StandIn::tcp(Images::generated(7));
    let service = Service::builder("prlimit")
        .arg(limit(32))
        .arg(PROGRAM)
        .store(store.url())
        .start();
    let told = service.query();
    assert!(told.starts_with("rkt: 7 images, "), "{told}");
    service.scrape();
    assert_eq!(service.stop().code(), Some(0));
}
