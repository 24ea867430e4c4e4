//! Sockets that only some users may connect to. Needs root, to run the program as other users.

use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Output;

use lab::cri_runtime::{Images, StandIn};
use lab::identity::{NOBODY, POWERLESS_ROOT, PublicProgram, set_mode};
use lab::poll::eventually;
use lab::service::{PATIENCE, Service, run};

use super::{failures, number};

/// A runtime at a socket of mode 0660 that belongs to root, and a copy of the program that every user can run.
struct Guarded {
    program: PublicProgram,
    runtime: StandIn,
}

impl Guarded {
    fn socket() -> Self {
        let program = PublicProgram::copy_of(env!("CARGO_BIN_EXE_exp-rkt-grpc"));
        let socket = program.folder().join("cri.sock");
        let runtime = StandIn::unix(&socket, Images::generated(3));
        set_mode(&socket, 0o660);
        Self {
            program,
            runtime: runtime.expect("a socket can be bound there"),
        }
    }

    fn belongs_to(self, user: u32, group: u32) -> Self {
        chown(self.path(), Some(user), Some(group)).expect("root may change the owner");
        self
    }

    fn path(&self) -> PathBuf {
        self.program.folder().join("cri.sock")
    }

    fn query_as(&self, identity: &[&str]) -> Output {
        let program = self.program.path().to_str().expect("the path is UTF-8");
        let url = self.runtime.url();
        let query = [program, "query", "--store", url.as_str()];
        let environment = [("OTEL_TRACES_EXPORTER", "none")];
        run("setpriv", identity.iter().chain(&query), &environment)
    }
}

#[track_caller]
fn assert_counted(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("stand-in 1.0.0  3 "), "{text}");
}

#[test]
fn the_error_for_a_user_without_permission_states_what_to_do() {
    let guarded = Guarded::socket();
    let output = guarded.query_as(&NOBODY);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout);
    let sentence = format!(
        "no permission to connect to unix://{}; it belongs to the user root and the group root, mode 0660: connect as root or in the group root",
        guarded.path().display()
    );
    assert!(text.contains(&sentence), "{text}");
}

#[test]
fn a_refused_connection_is_counted_as_permission_denied() {
    let guarded = Guarded::socket();
    // The user nobody may not write to our notification socket either.
    let service = NOBODY
        .iter()
        .fold(Service::builder("setpriv"), |builder, argument| {
            builder.arg(argument)
        })
        .arg(guarded.program.path())
        .arg("--query-at-start")
        .store(guarded.runtime.url())
        .env("OTEL_TRACES_EXPORTER", "none")
        .unsupervised()
        .spawn();
    service.wait_for_stderr(
        |text| text.contains("query failed") && text.contains("code=\"PERMISSION_DENIED\""),
        PATIENCE,
    );
    let scrape = eventually("the failure", || {
        let scrape = service.scrape();
        number(&scrape, "imagestore_up").and(Some(scrape))
    });
    assert_eq!(number(&scrape, "imagestore_up"), Some(0.0));
    assert_eq!(failures(&scrape, "PERMISSION_DENIED"), 1.0);
}

#[test]
fn root_without_capabilities_may_not_connect_to_a_socket_of_another_user() {
    let guarded = Guarded::socket().belongs_to(65_534, 65_534);
    let output = guarded.query_as(&POWERLESS_ROOT);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn a_member_of_roots_group_may_connect_without_being_root() {
    let member = ["--reuid=65534", "--regid=65534", "--groups=0"];
    assert_counted(&Guarded::socket().query_as(&member));
}
