//! The journal's socket is full: a socket that nothing reads stands in for journald.

use std::process::Command;

use lab::service::{Builder, PATIENCE};
use lab::skip;

use super::full::FullSocket;
use super::{EX_CONFIG, ends, failing, refused, shell, store, works};

/// Executes a program with `$JOURNAL` as the journal's socket, and with `$JOURNAL_STREAM` naming its standard error.
const EXEC_WITH_JOURNAL: &str = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal &&
    ln -s \"$JOURNAL\" /run/systemd/journal/socket &&
    JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2) exec \"$@\"";

/// The program in a new mount namespace; `None` if this process may not create one.
fn program(journal: &FullSocket) -> Option<Builder> {
    let tried = Command::new("unshare").args(["--mount", "true"]).status();
    if !tried.is_ok_and(|status| status.success()) {
        skip::loudly("only root can create a mount namespace");
        return None;
    }
    let unshared = shell("exec unshare --mount sh -c \"$EXEC_WITH_JOURNAL\" sh \"$@\"");
    let builder = unshared.env("EXEC_WITH_JOURNAL", EXEC_WITH_JOURNAL);
    Some(builder.env("JOURNAL", journal.path()))
}

#[test]
fn a_full_journal_socket_does_not_keep_the_service_from_starting_serving_and_stopping() {
    let (journal, store) = (FullSocket::bind(), store());
    let Some(program) = program(&journal) else {
        return;
    };
    works(&program.store(store.url()).start());
}

#[test]
fn a_full_journal_socket_does_not_keep_a_refused_configuration_from_exiting_with_78() {
    let journal = FullSocket::bind();
    let Some(program) = program(&journal) else {
        return;
    };
    ends(&refused(program), EX_CONFIG);
}

#[test]
fn a_full_journal_socket_does_not_keep_a_service_that_cannot_listen_from_exiting_with_1() {
    let journal = FullSocket::bind();
    let Some(program) = program(&journal) else {
        return;
    };
    let (service, _other) = failing(program);
    ends(&service, 1);
}

#[test]
fn lines_logged_while_the_journal_socket_was_full_are_written_once_it_is_read() {
    let (journal, store) = (FullSocket::bind(), store());
    let Some(program) = program(&journal) else {
        return;
    };
    let program = program.env("OTEL_TRACES_EXPORTER", "none");
    let service = program.store(store.url()).start();
    service.query();
    let mut entries = Vec::new();
    while entries.len() < 2 {
        // The service probes the journal with an empty datagram.
        entries.extend(Some(journal.read()).filter(|entry| !entry.is_empty()));
    }
    assert!(entries[0].contains("serving metrics"), "{entries:?}");
    assert!(entries[1].contains("images counted"), "{entries:?}");
    service.signal(lab::service::Signal::TERM);
    assert!(journal.read().contains("stopping"));
    assert_eq!(service.wait(PATIENCE).code(), Some(0));
}

#[test]
fn at_exit_standard_error_reports_the_lines_that_the_journal_did_not_accept() {
    let (journal, store) = (FullSocket::bind(), store());
    let Some(program) = program(&journal) else {
        return;
    };
    let service = program.store(store.url()).start();
    assert_eq!(service.stop().code(), Some(0));
    let lost = "exp-rkt-grpc: 2 log lines could not be written before the end\n";
    assert_eq!(service.stderr(), lost);
}
