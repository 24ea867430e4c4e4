//! The program in the Debian package for arm64, run by QEMU, which emulates the processor and passes system calls to this machine.

use std::ffi::OsString;
use std::process::Output;

use lab::jaeger_agent::JaegerAgent;
use lab::service::{Activation, PATIENCE, Service, run};
use lab::{cri_runtime as cri, rkt_api_service as rkt, tempdir};
use serde_json::Value;

use super::built::{for_arm64, packages};

const EMULATOR: &str = "qemu-aarch64-static";

const IMAGES: usize = 7;

const UNTRACED: &[(&str, &str)] = &[("OTEL_TRACES_EXPORTER", "none")];

/// What the program prints with these arguments; `None` if there is no package for arm64.
#[track_caller]
fn emulated(arguments: &[&str]) -> Option<Output> {
    let program = for_arm64()?.program().into_os_string();
    let arguments = arguments.iter().map(OsString::from);
    Some(run(
        EMULATOR,
        [program].into_iter().chain(arguments),
        UNTRACED,
    ))
}

/// The number of images that `query` of the program finds in this store.
#[track_caller]
fn count(store: &str) -> Option<Value> {
    let output = emulated(&["query", "--output", "json", "--store", store])?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    Some(answer["stores"][0]["images"].clone())
}

#[test]
fn it_says_the_same_as_the_program_for_this_machine() {
    const EX_CONFIG: i32 = 78;
    let cases = [
        (
            ["--version"],
            0,
            concat!("exp-rkt-grpc ", env!("CARGO_PKG_VERSION")),
        ),
        (["--help"], 0, "--query-at-start"),
        (["--store=nowhere"], EX_CONFIG, "nowhere"),
    ];
    for (arguments, status, words) in cases {
        let Some(output) = emulated(&arguments) else {
            return;
        };
        assert_eq!(output, run(packages().program(), arguments, UNTRACED));
        assert_eq!(output.status.code(), Some(status));
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_query_counts_images_over_tcp() {
    let store = rkt::StandIn::tcp(rkt::Images::generated(IMAGES));
    let Some(images) = count(&store.url()) else {
        return;
    };
    assert_eq!(images, IMAGES);
}

#[test]
fn a_query_counts_images_over_a_unix_socket() {
    let folder = tempdir().expect("a temporary folder can be made");
    let socket = folder.path().join("cri.sock");
    let store = cri::StandIn::unix(&socket, cri::Images::generated(IMAGES));
    let store = store.expect("the path is free");
    let Some(images) = count(&store.url()) else {
        return;
    };
    assert_eq!(images, IMAGES);
}

#[test]
fn a_service_on_a_passed_socket_queries_serves_the_number_sends_a_trace_and_stops() {
    let Some(packages) = for_arm64() else { return };
    let store = rkt::StandIn::tcp(rkt::Images::generated(IMAGES));
    let agent = JaegerAgent::bind();
    let service = Service::builder(EMULATOR)
        .arg(packages.program())
        .store(store.url())
        .env("OTEL_EXPORTER_JAEGER_AGENT_PORT", agent.port().to_string())
        .activation(Activation::tcp())
        .start();
    service.query();
    let images = service.scrape().sum("imagestore_images");
    assert_eq!(images, Some(IMAGES as f64));
    agent.next_trace(PATIENCE);
    assert_eq!(service.stop().code(), Some(0), "{}", service.stderr());
}
