//! Bad answers, missing answers and failed connections.

use lab::exposition::Scrape;
use lab::poll::eventually;
use lab::rkt_api_service::{Behaviour, Images, Language, Reason, StandIn};
use lab::service::{PATIENCE, ReservedPort};
use lab::stand_in::code_name;
use lab::tempdir;
use tonic::{Code, Status};

use super::{IMAGES, Scene, failures_of, images, program, tcp_and_unix, value};

/// The scrape after a query that did not exceed its deadline, which may be too short for a busy machine.
fn within_the_deadline(scene: &Scene) -> Scrape {
    let exceeded = |scrape: &Scrape| failures_of(scrape, "DEADLINE_EXCEEDED");
    eventually("an answer within the deadline", || {
        let before = exceeded(&scene.service.scrape());
        let scrape = scene.query();
        (exceeded(&scrape) == before).then_some(scrape)
    })
}

/// A query fails between two good ones: it is counted under `code`, `why` is its reason, and the last good numbers stay.
#[track_caller]
fn assert_fails_and_recovers(scene: &Scene, behaviour: Behaviour, code: &str, why: &str) {
    let context = format!("{behaviour:?}");
    let before = within_the_deadline(scene);
    let failed_before = failures_of(&before, code).unwrap_or_default();
    scene.store.behave(behaviour);
    let status = scene.service.query();
    let after = scene.service.scrape();

    assert!(status.contains(why), "{context}: no {why:?} in {status:?}");
    assert_eq!(
        failures_of(&after, code),
        Some(failed_before + 1.0),
        "{context}: {status}"
    );
    assert_eq!(value(&after, "imagestore_up"), Some(0.0), "{context}");
    for kept in [
        "imagestore_images",
        "imagestore_images_size_bytes",
        "imagestore_response_bytes",
        "imagestore_oldest_image_timestamp_seconds",
        "imagestore_last_success_timestamp_seconds",
    ] {
        assert_eq!(
            value(&after, kept),
            value(&before, kept),
            "{context}: {kept}"
        );
    }
    let moved = "imagestore_last_query_timestamp_seconds";
    assert!(
        value(&after, moved) > value(&before, moved),
        "{context}: {moved}"
    );

    scene.store.behave(Behaviour::Answer);
    let recovered = within_the_deadline(scene);
    assert_eq!(value(&recovered, "imagestore_up"), Some(1.0), "{context}");
    assert_eq!(images(&recovered), Some(IMAGES as f64), "{context}");
}

#[test]
fn each_grpc_code_is_counted_under_its_name_and_the_stores_text_is_shown() {
    let scene = Scene::set();
    for number in 1..=16 {
        let (code, text) = (Code::from_i32(number), format!("reason {number}"));
        let name = code_name(code);
        let why = format!("{name}: {text}");
        let behaviour = Behaviour::Fail(Status::new(code, text));
        assert_fails_and_recovers(&scene, behaviour, &name, &why);
    }
    let failures = scene
        .service
        .scrape()
        .sum("imagestore_query_failures_total");
    assert_eq!(failures, Some(16.0));
}

#[test]
fn an_error_status_after_a_complete_list_discards_the_list() {
    let behaviour = Behaviour::FailAfterBody(Status::data_loss("on second thoughts"));
    assert_fails_and_recovers(&Scene::set(), behaviour, "DATA_LOSS", "on second thoughts");
}

#[test]
fn an_answer_that_breaks_the_protocol_is_internal_and_the_error_states_how() {
    let scene = Scene::set();
    for (behaviour, why) in [
        (Behaviour::Garbage, "malformed at byte"),
        (Behaviour::Truncated, "malformed at byte"),
        (Behaviour::Compressed, "the message is compressed"),
        (Behaviour::Lie, "ends in the middle of a message"),
        (Behaviour::WithoutTrailers, "ended without a status"),
        (Behaviour::NoMessage, "has status OK and holds no message"),
        (
            Behaviour::FailAfter(0, Status::ok("")),
            "has status OK and holds no message",
        ),
    ] {
        assert_fails_and_recovers(&scene, behaviour, "INTERNAL", why);
    }
}

#[test]
fn a_connection_that_is_cut_off_half_way_is_unavailable_over_tcp_and_unix() {
    let folder = tempdir().expect("a temporary folder can be made");
    for store in tcp_and_unix(&folder) {
        let scene = Scene::of(store, |builder| builder);
        let why = "the connection was lost: ";
        assert_fails_and_recovers(&scene, Behaviour::CutOff, "UNAVAILABLE", why);
    }
}

/// Often enough for a race to show.
const AGAIN: usize = 50;

/// Every query of a store that behaves like this fails with this code and these words, over TCP and over a Unix socket.
#[track_caller]
fn assert_always_fails(behaviour: &Behaviour, code: &str, words: &str) {
    let folder = tempdir().expect("a temporary folder can be made");
    for store in tcp_and_unix(&folder) {
        let scene = Scene::of(store, |builder| builder);
        scene.store.behave(behaviour.clone());
        let address = scene.store.url().replace("rkt+", "");
        let words = words.replace("ADDRESS", &address);
        for _ in 0..AGAIN {
            let status = scene.service.query();
            assert!(status.contains(&words), "{behaviour:?}: {status}");
        }
        let scrape = scene.service.scrape();
        assert_eq!(failures_of(&scrape, code), Some(AGAIN as f64));
        assert_eq!(scene.store.connections(), AGAIN, "one connection per query");
        scene.store.behave(Behaviour::Answer);
        assert_eq!(images(&scene.query()), Some(IMAGES as f64));
    }
}

#[test]
fn a_connection_that_is_closed_on_accept_is_unavailable_every_time() {
    let words = "cannot connect to ADDRESS: the peer closed the connection before sending HTTP/2";
    assert_always_fails(&Behaviour::Refuse, "UNAVAILABLE", words);
}

#[test]
fn a_server_that_does_not_speak_http_2_is_unavailable_and_its_first_bytes_are_shown_every_time() {
    for (language, words) in [
        (
            Language::Http1,
            r#""HTTP/1.1 400 Bad Request\r\nContent-Length""#,
        ),
        (Language::Ssh, r#""SSH-2.0-OpenSSH_9.2p1\r\n""#),
        (Language::Farewell, r#""421 too many connections\r\n""#),
        (Language::Tls, "TLS, which is not supported"),
    ] {
        let words = format!("ADDRESS does not speak gRPC (HTTP/2): its answer begins with {words}");
        assert_always_fails(&Behaviour::Speak(language), "UNAVAILABLE", &words);
    }
}

#[test]
fn a_connection_that_ends_after_its_greeting_is_unavailable_every_time() {
    for language in [Language::Goaway, Language::Nonsense] {
        let words = "UNAVAILABLE: the connection was ";
        assert_always_fails(&Behaviour::Speak(language), "UNAVAILABLE", words);
    }
}

#[test]
fn a_reset_has_the_code_that_grpc_assigns_to_it() {
    let scene = Scene::set();
    for (reason, code) in [
        (Reason::PROTOCOL_ERROR, "INTERNAL"),
        (Reason::INTERNAL_ERROR, "INTERNAL"),
        (Reason::FLOW_CONTROL_ERROR, "INTERNAL"),
        (Reason::SETTINGS_TIMEOUT, "INTERNAL"),
        (Reason::STREAM_CLOSED, "INTERNAL"),
        (Reason::FRAME_SIZE_ERROR, "INTERNAL"),
        (Reason::REFUSED_STREAM, "UNAVAILABLE"),
        (Reason::CANCEL, "CANCELLED"),
        (Reason::COMPRESSION_ERROR, "INTERNAL"),
        (Reason::CONNECT_ERROR, "INTERNAL"),
        (Reason::ENHANCE_YOUR_CALM, "RESOURCE_EXHAUSTED"),
        (Reason::INADEQUATE_SECURITY, "PERMISSION_DENIED"),
        (Reason::HTTP_1_1_REQUIRED, "INTERNAL"),
        (Reason::from(1_000_000), "INTERNAL"),
    ] {
        let why = format!("{code}: the call was reset with {reason:?}");
        assert_fails_and_recovers(&scene, Behaviour::Reset(reason), code, &why);
    }
    // hyper treats this reset as a normal end.
    let no_error = Behaviour::Reset(Reason::NO_ERROR);
    assert_fails_and_recovers(&scene, no_error, "INTERNAL", "ended without a status");
}

#[test]
fn an_answer_that_is_not_grpc_has_the_code_that_grpc_assigns_to_its_http_status() {
    let scene = Scene::set();
    for (status, code) in [
        (400, "INTERNAL"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "UNIMPLEMENTED"),
        (429, "UNAVAILABLE"),
        (502, "UNAVAILABLE"),
        (503, "UNAVAILABLE"),
        (504, "UNAVAILABLE"),
        (302, "UNKNOWN"),
        (405, "UNKNOWN"),
        (500, "UNKNOWN"),
        (200, "UNKNOWN"),
    ] {
        let behaviour = Behaviour::NotGrpc { status };
        let why = match status {
            200 => "the answer is not gRPC: its content-type is ".to_owned(),
            _ => format!("the answer is not gRPC: HTTP status {status}"),
        };
        assert_fails_and_recovers(&scene, behaviour, code, &why);
    }
}

#[test]
fn at_the_deadline_a_hanging_query_is_given_up_and_its_connection_closed() {
    let scene = Scene::with_deadline("3s");
    for behaviour in [Behaviour::Hang, Behaviour::HangInBody] {
        let why = "no complete answer within 3s";
        assert_fails_and_recovers(&scene, behaviour, "DEADLINE_EXCEEDED", why);
    }
    scene.store.wait_for_open_connections(0, PATIENCE);
}

#[test]
fn the_error_distinguishes_a_store_that_never_speaks_from_one_that_hangs() {
    let folder = tempdir().expect("a temporary folder can be made");
    for store in tcp_and_unix(&folder) {
        let address = store.url().replace("rkt+", "");
        let scene = Scene::of(store, |builder| builder.arg("--deadline").arg("3s"));
        let why = format!("no complete answer within 3s: {address} has not begun to speak");
        assert_fails_and_recovers(&scene, Behaviour::Silent, "DEADLINE_EXCEEDED", &why);
        scene.store.wait_for_open_connections(0, PATIENCE);
    }
}

#[test]
fn an_endless_list_is_given_up_at_the_deadline_and_never_held_in_memory() {
    let scene = Scene::with_deadline("3s");
    scene.query();
    let before = scene.service.peak_memory();
    let why = "no complete answer within 3s";
    assert_fails_and_recovers(&scene, Behaviour::Flood, "DEADLINE_EXCEEDED", why);
    let grown = scene.service.peak_memory().saturating_sub(before);
    assert!(grown < 8 * 1024 * 1024, "{grown} bytes more");
}

#[test]
fn a_port_without_a_listener_is_unavailable_and_is_tried_again_by_each_query() {
    let unused = ReservedPort::reserve();
    let address = unused.address();
    let service = program().store(format!("rkt+http://{address}")).start();
    for failures in 1..=2 {
        let status = service.query();
        assert!(status.contains("Connection refused"), "{status}");
        assert!(status.contains(&address.to_string()), "{status}");
        let scrape = service.scrape();
        assert_eq!(
            failures_of(&scrape, "UNAVAILABLE"),
            Some(f64::from(failures))
        );
        assert_eq!(value(&scrape, "imagestore_up"), Some(0.0));
        assert_eq!(images(&scrape), None);
    }
    let _store = StandIn::tcp_at(address, Images::generated(IMAGES)).expect("the port is reserved");
    service.query();
    assert_eq!(images(&service.scrape()), Some(IMAGES as f64));
}

#[test]
fn a_missing_or_stale_socket_is_unavailable_until_a_store_listens() {
    let folder = tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("api.sock");
    let service = program()
        .store(format!("rkt+unix://{}", path.display()))
        .start();
    let status = service.query();
    assert!(status.contains("No such file"), "{status}");

    let store = StandIn::unix(&path, Images::generated(IMAGES)).expect("the path is free");
    service.query();
    assert_eq!(images(&service.scrape()), Some(IMAGES as f64));

    store.kill();
    let status = service.query();
    assert!(status.contains("Connection refused"), "{status}");
    let scrape = service.scrape();
    assert_eq!(failures_of(&scrape, "UNAVAILABLE"), Some(2.0));
    assert_eq!(images(&scrape), Some(IMAGES as f64));
}

#[test]
fn a_failed_query_is_one_error_line_with_its_code() {
    let scene = Scene::set();
    scene
        .store
        .behave(Behaviour::Fail(Status::not_found("gone")));
    scene.service.query();
    scene.service.stop();
    let log = scene.service.stderr();
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    let [line] = &errors[..] else {
        panic!("not one line: {log}");
    };
    for part in [
        "query failed",
        "store=\"rkt\"",
        "code=\"NOT_FOUND\"",
        "gone",
    ] {
        assert!(line.contains(part), "no {part:?} in {line:?}");
    }
}

#[test]
fn hostile_text_from_a_store_breaks_neither_log_nor_status_nor_metrics() {
    let scene = Scene::set();
    scene.store.behave(Behaviour::Fail(Status::unknown(format!(
        "x\nREADY=1\n\u{1b}[31m{}",
        "ä".repeat(1500)
    ))));
    let status = scene.service.query();
    assert!(!status.contains(char::is_control), "{status:?}");
    assert_eq!(failures_of(&scene.service.scrape(), "UNKNOWN"), Some(1.0));
    scene.service.stop();
    let log = scene.service.stderr();
    assert_eq!(log.lines().count(), 3, "{log}");
    assert!(!log.replace('\n', "").contains(char::is_control), "{log:?}");
}
