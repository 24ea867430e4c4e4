use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tempfile::TempDir;

use super::*;

/// A stand-in for the program: `sd_notify` is spoken by the real `systemd-notify`.
///
/// A shell cannot trap signals that were ignored when it was started, as they are in tests that run in the background.
fn shell(script: &str) -> Builder {
    let words = ["--default-signal", "/bin/sh", "-c", script, "sh"];
    let env = Service::builder("/usr/bin/env");
    words.into_iter().fold(env, Builder::arg)
}

/// Becomes ready, answers SIGQUIT with a status and SIGTERM with exit 0. A shell that waits for more than a moment can miss a
/// signal that comes just before.
fn obedient() -> Builder {
    shell(
        "trap 'systemd-notify --status=asked' QUIT
        trap 'systemd-notify STOPPING=1; echo stopped >&2; exit 0' TERM
        echo \"arguments: $*\" >&2
        env >&2
        systemd-notify --ready --status=waiting
        while :; do sleep 0.02; done",
    )
}

fn temporary_folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

fn panic_message(act: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(act)).expect_err("it panics");
    *panic
        .downcast::<String>()
        .expect("with a formatted message")
}

#[test]
fn a_service_is_ready_queried_and_stopped() {
    let service = obedient().start();
    assert_eq!(service.query(), "asked");
    assert_eq!(service.threads(), 1);
    assert!(service.fds() >= 3);
    assert!(service.peak_memory() > 100_000);
    let status = service.stop();
    assert_eq!(status.code(), Some(0));
    assert!(service.stderr().ends_with("stopped\n"));
    // systemd-notify sends a barrier after each message.
    let mut told = service.notifications();
    told.retain(|notification| notification.value("BARRIER").is_none());
    assert!(told[0].says("READY", "1"), "{told:?}");
    assert!(told[2].says("STOPPING", "1"), "{told:?}");
}

#[test]
fn the_program_sees_its_arguments_and_nothing_of_our_environment() {
    let service = obedient()
        .store("rkt+http://127.0.0.1:1")
        .watchdog(Duration::from_secs(3))
        .start();
    let told = service.stderr();
    let address = service.address();
    assert!(
        told.contains(&format!(
            "arguments: --store rkt+http://127.0.0.1:1 --listen {address}\n"
        )),
        "{told}"
    );
    assert!(told.contains("WATCHDOG_USEC=3000000\n"), "{told}");
    assert!(!told.contains("CARGO"), "{told}");
}

#[test]
fn a_program_that_ends_before_it_is_ready_is_reported_with_what_it_wrote() {
    let builder = shell("echo 'no such store' >&2; exit 78");
    let message = panic_message(|| drop(builder.start()));
    assert!(message.contains("no such store"), "{message}");
}

#[test]
fn a_dropped_service_is_gone() {
    let service = obedient().start();
    let process = format!("/proc/{}", service.pid());
    assert!(Path::new(&process).exists());
    drop(service);
    assert!(!Path::new(&process).exists());
}

#[test]
fn a_program_that_does_not_end_is_reported_and_can_be_killed() {
    let service = shell("trap '' TERM; systemd-notify --ready; exec sleep 600").start();
    service.signal(Signal::TERM);
    let message = panic_message(|| {
        service.wait(Duration::from_millis(1));
    });
    assert!(message.contains("has not ended"), "{message}");
    service.signal(Signal::KILL);
    assert_eq!(service.wait(PATIENCE).signal(), Some(9));
}

#[test]
fn activation_starts_the_program_at_the_first_connection_in_the_same_process() {
    let activation = Activation::tcp().preceded_by("other");
    let service = obedient().activation(activation).spawn();
    assert_eq!(service.notifications(), []);
    service.wait_until_ready();
    let told = service.stderr();
    assert!(told.contains("LISTEN_FDS=2\n"), "{told}");
    assert!(told.contains("LISTEN_FDNAMES=other:metrics\n"), "{told}");
    assert!(
        told.contains(&format!("LISTEN_PID={}\n", service.pid())),
        "{told}"
    );
    assert!(told.contains("arguments: \n"), "{told}");
    assert_eq!(service.query(), "asked");
}

#[test]
fn activation_by_a_unix_socket_starts_the_program_too() {
    let folder = temporary_folder();
    let socket = folder.path().join("socket");
    let service = obedient()
        .activation(Activation::unix(&socket).named("scrapes"))
        .start();
    assert_eq!(service.endpoint(), &Endpoint::Unix(socket));
    assert!(service.stderr().contains("LISTEN_FDNAMES=scrapes\n"));
}

#[test]
fn an_unsupervised_program_has_no_notify_socket() {
    let service = shell("echo \"socket: ${NOTIFY_SOCKET-none}\" >&2")
        .unsupervised()
        .spawn();
    service.wait_for_stderr(|text| text.contains("socket: none"), PATIENCE);
    assert!(service.wait(PATIENCE).success());
}

#[test]
fn a_run_returns_both_streams_and_the_code() {
    let script = "echo out $1; echo err $NAME >&2; exit 78";
    let output = run("/bin/sh", ["-c", script, "sh", "one"], &[("NAME", "value")]);
    assert_eq!(output.status.code(), Some(78));
    assert_eq!(output.stdout, b"out one\n");
    assert_eq!(output.stderr, b"err value\n");
}
