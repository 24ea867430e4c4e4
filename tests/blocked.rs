//! The journal, standard error or systemd's notification socket is full and is not read: the service still starts, serves
//! scrapes, refuses a bad configuration and stops.

use std::net::TcpListener;

use lab::poll::eventually;
use lab::rkt_api_service::{Images, StandIn};
use lab::service::{Builder, Listen, PATIENCE, Service, http};

#[path = "blocked/full.rs"]
mod full;
#[path = "blocked/journal.rs"]
mod journal;
#[path = "blocked/notifications.rs"]
mod notifications;
#[path = "blocked/panic.rs"]
mod panic;
#[path = "blocked/stderr.rs"]
mod stderr;

const PROGRAM: &str = env!("CARGO_BIN_EXE_exp-rkt-grpc");

/// The number of images in the stand-in.
const IMAGES: usize = 7;

/// EX_CONFIG of sysexits.h.
const EX_CONFIG: i32 = 78;

fn store() -> StandIn {
    StandIn::tcp(Images::generated(IMAGES))
}

/// A shell that runs `script` with the program as `"$@"`.
fn shell(script: &str) -> Builder {
    Service::builder("sh")
        .arg("-c")
        .arg(script)
        .arg("sh")
        .arg(PROGRAM)
}

/// Scrapes are answered, a query fills in the numbers, and SIGTERM ends the service with 0.
#[track_caller]
fn works(service: &Service) {
    eventually("an answer", || {
        http::get(service.endpoint(), "/metrics").ok()
    });
    service.trigger();
    eventually("the images", || {
        let images = service
            .scrape()
            .value("imagestore_images", &[("store", "rkt")]);
        (images == Some(IMAGES as f64)).then_some(())
    });
    assert_eq!(service.stop().code(), Some(0));
}

/// The service exits by itself with this status.
#[track_caller]
fn ends(service: &Service, status: i32) {
    assert_eq!(service.wait(PATIENCE).code(), Some(status));
}

/// A service whose configuration is refused.
fn refused(builder: Builder) -> Service {
    builder.arg("--deadline").arg("never").spawn()
}

/// A service whose address is in use, and the listener that uses it.
fn failing(builder: Builder) -> (Service, TcpListener) {
    let other = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
    let address = other.local_addr().expect("the socket is bound");
    (builder.listen(Listen::Flag(address)).spawn(), other)
}
