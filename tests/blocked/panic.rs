//! A panic is reported in the log, not written to standard error directly.

use std::process::Command;

use lab::service::{PATIENCE, Service};
use lab::skip;

use super::{PROGRAM, store};

/// A service whose event loop panics at its first wait: strace makes epoll_wait(2) fail, which tokio does not survive.
fn panicking(store: &str) -> Option<Service> {
    let traced = Command::new("strace")
        .args(["-qq", "--output=/dev/null", "true"])
        .output();
    if !traced.is_ok_and(|output| output.status.success()) {
        skip::loudly("strace(1) is not installed or not permitted to trace");
        return None;
    }
    let tracer = Service::builder("strace").arg("-D").arg("-f").arg("-qq");
    let inject = "--inject=epoll_wait,epoll_pwait:error=EBADF";
    let tracer = tracer
        .arg("--output=/dev/null")
        .arg("--trace=epoll_wait,epoll_pwait")
        .arg(inject);
    Some(tracer.arg(PROGRAM).store(store).spawn())
}

#[test]
fn a_panic_is_logged_as_a_single_line() {
    let store = store();
    let Some(service) = panicking(&store.url()) else {
        return;
    };
    assert_eq!(service.wait(PATIENCE).code(), Some(101));
    let log = service.stderr();
    let lines: Vec<&str> = log.lines().collect();
    let [panicked] = lines[..] else {
        panic!("not one line: {log}");
    };
    assert!(panicked.contains(" ERROR panicked "), "{log}");
    assert!(panicked.contains("unexpected error when polling"), "{log}");
}
