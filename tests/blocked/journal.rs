//! The journal's socket is full: a stand-in for a journald that reads nothing.

use std::process::Command;

use lab::service::{Builder, PATIENCE};
use lab::skip;

use super::full::FullSocket;
use super::{EX_CONFIG, ends, failing, refused, shell, store, works};

/// Becomes a program with `$JOURNAL` as the journal's socket, and `$JOURNAL_STREAM` naming its standard error.
const BECOME_LOGGED: &str = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal &&
    ln -s \"$JOURNAL\" /run/systemd/journal/socket &&
    JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2) exec \"$@\"";

/// In a mount namespace of its own. `None` where this process cannot have one.
fn program(journal: &FullSocket) -> Option<Builder> {
    let tried = Command::new("unshare").args(["--mount", "true"]).status();
    if !tried.is_ok_and(|status| status.success()) {
        skip::loudly("only root can have a mount namespace");
        return None;
    }
    let unshared = shell("exec unshare --mount sh -c \"$BECOME_LOGGED\" sh \"$@\"");
    let builder = unshared.env("BECOME_LOGGED", BECOME_LOGGED);
    Some(builder.env("JOURNAL", journal.path()))
}

#[test]
fn a_service_starts_serves_and_stops_though_the_journal_is_full() {
    let (journal, store) = (FullSocket::bind(), store());
    let Some(program) = program(&journal) else {
        return;
    };
    works(&program.store(store.url()).start());
}

#[test]
fn a_refused_configuration_exits_with_78_though_the_journal_is_full() {
    let journal = FullSocket::bind();
    let Some(program) = program(&journal) else {
        return;
    };
    ends(&refused(program), EX_CONFIG);
}

#[test]
fn a_service_that_cannot_listen_exits_with_1_though_the_journal_is_full() {
    let journal = FullSocket::bind();
    let Some(program) = program(&journal) else {
        return;
    };
    let (service, _other) = failing(program);
    ends(&service, 1);
}

#[test]
fn what_was_logged_while_the_journal_was_full_is_written_once_it_is_read() {
    let (journal, store) = (FullSocket::bind(), store());
    let Some(program) = program(&journal) else {
        return;
    };
    let program = program.env("OTEL_TRACES_EXPORTER", "none");
    let service = program.store(store.url()).start();
    service.query();
    let mut entries = Vec::new();
    while entries.len() < 2 {
        // The probe for the journal is empty.
        entries.extend(Some(journal.read()).filter(|entry| !entry.is_empty()));
    }
    assert!(entries[0].contains("serving metrics"), "{entries:?}");
    assert!(entries[1].contains("images counted"), "{entries:?}");
    service.signal(lab::service::Signal::TERM);
    assert!(journal.read().contains("stopping"));
    assert_eq!(service.wait(PATIENCE).code(), Some(0));
}

#[test]
fn lines_that_the_journal_has_not_taken_at_the_end_are_said_to_be_lost_on_standard_error() {
    let (journal, store) = (FullSocket::bind(), store());
    let Some(program) = program(&journal) else {
        return;
    };
    let service = program.store(store.url()).start();
    assert_eq!(service.stop().code(), Some(0));
    let lost = "exp-rkt-grpc: 2 log lines could not be written before the end\n";
    assert_eq!(service.stderr(), lost);
}
