//! SIGQUIT asks; SIGTERM, SIGINT and SIGHUP end.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use lab::exposition::Scrape;
use lab::poll::eventually;
use lab::rkt_api_service::{Behaviour, Images, Method, StandIn};
use lab::service::http::Connection;
use lab::service::{Builder, PATIENCE, Service, Signal};

/// How many images the stand-ins hold.
const IMAGES: usize = 7;

const PROGRAM: &str = env!("CARGO_BIN_EXE_exp-rkt-grpc");

/// Becomes a program that has SIGQUIT blocked and pending. SIGTERM is blocked, too.
const QUIT_AND_BECOME: &str =
    "sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGQUIT, SIGTERM)); kill QUIT => $$; exec @ARGV";

/// Signals whose default action would end the service. Real-time signals belong to them.
const MEANINGLESS: [Signal; 8] = [
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::STKFLT,
    Signal::VTALARM,
    Signal::PROF,
    Signal::IO,
    Signal::POWER,
];

/// More signals than anybody sends.
const BURST: usize = 1000;

struct Scene {
    store: StandIn,
    service: Service,
}

impl Scene {
    fn set() -> Self {
        let store = StandIn::tcp(Images::generated(IMAGES));
        let service = program(&store).start();
        Self { store, service }
    }

    /// A query that hangs in the store.
    fn hanging() -> Self {
        let scene = Self::set();
        scene.store.behave(Behaviour::Hang);
        scene.service.trigger();
        scene.store.wait_for_calls(1, PATIENCE);
        scene
    }

    fn release(&self) {
        self.store.behave(Behaviour::Answer);
        self.store.release();
    }

    fn queries(&self) -> f64 {
        let scrape = self.service.scrape();
        scrape
            .sum("imagestore_queries_total")
            .expect("it is counted")
    }

    fn lists(&self) -> usize {
        let calls = self.store.calls();
        let lists = calls
            .iter()
            .filter(|call| call.method() == Some(Method::ListImages));
        lists.count()
    }
}

fn program(store: &StandIn) -> Builder {
    Service::builder(PROGRAM)
        .env("OTEL_TRACES_EXPORTER", "none")
        .store(store.url())
}

/// A mask as the kernel writes it: signal n is bit n - 1.
fn mask(service: &Service, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", service.pid()));
    let status = status.unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix(name));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}

fn bit(signal: Signal) -> u64 {
    1 << (signal.as_raw() - 1)
}

/// Whether the process catches the signal.
fn catches(service: &Service, signal: Signal) -> bool {
    mask(service, "SigCgt:") & bit(signal) != 0
}

#[test]
fn a_burst_while_a_query_runs_causes_exactly_one_more() {
    let scene = Scene::hanging();
    for _ in 0..BURST {
        scene.service.trigger();
    }
    scene.release();
    scene.service.wait_for_status(PATIENCE);
    scene.service.wait_for_status(PATIENCE);
    // A third one would have begun at once.
    scene.service.query();
    assert_eq!((scene.queries(), scene.lists()), (3.0, 3));
}

#[test]
fn a_signal_while_a_query_runs_causes_one_more_after_it() {
    let scene = Scene::hanging();
    scene.service.trigger();
    assert_eq!(scene.lists(), 1);
    scene.release();
    scene.service.wait_for_status(PATIENCE);
    scene.service.wait_for_status(PATIENCE);
    assert_eq!((scene.queries(), scene.lists()), (2.0, 2));
}

#[test]
fn a_burst_to_an_idle_service_is_survived_and_every_query_is_counted() {
    let scene = Scene::set();
    for _ in 0..BURST {
        scene.service.trigger();
    }
    // Whatever the kernel has made of the burst, the last signal is seen.
    let queries = eventually("the queries to end", || {
        let (queries, lists) = (scene.queries(), scene.lists());
        let triggers = scene.service.scrape().sum("exp_rkt_grpc_triggers_total");
        (queries >= 1.0 && queries == lists as f64 && triggers == Some(queries)).then_some(queries)
    });
    assert!(queries <= BURST as f64);
}

#[test]
fn a_signal_before_the_service_is_ready_does_not_kill_it() {
    let store = StandIn::tcp(Images::generated(IMAGES));
    for _ in 0..20 {
        let service = program(&store).spawn();
        // SIGHUP's handler comes last: what SIGQUIT's does is in its place then.
        eventually("the handlers", || {
            catches(&service, Signal::HUP).then_some(())
        });
        service.trigger();
        service.wait_until_ready();
        service.wait_for_status(PATIENCE);
        assert_eq!(service.stop().code(), Some(0));
    }
}

#[test]
fn a_signal_that_comes_before_the_program_does_anything_is_the_first_query() {
    let store = StandIn::tcp(Images::generated(IMAGES));
    // Blocked and pending at exec(2), with a mask that is the service's to replace.
    let service = Service::builder("perl")
        .env("OTEL_TRACES_EXPORTER", "none")
        .arg("-MPOSIX=:signal_h")
        .arg("-e")
        .arg(QUIT_AND_BECOME)
        .arg(PROGRAM)
        .arg("--store")
        .arg(store.url())
        .start();
    for signal in [Signal::QUIT, Signal::TERM] {
        assert_eq!(mask(&service, "SigBlk:") & bit(signal), 0, "{signal:?}");
    }
    service.wait_for_status(PATIENCE);
    let triggers = |scrape: &Scrape| {
        let by_signal = [("trigger", "signal")];
        scrape.value("exp_rkt_grpc_triggers_total", &by_signal)
    };
    assert_eq!(triggers(&service.scrape()), Some(1.0));
    service.query();
    assert_eq!(triggers(&service.scrape()), Some(2.0));
    assert_eq!(service.stop().code(), Some(0));
}

#[test]
fn a_command_that_prints_what_it_is_asked_for_is_not_ended_by_a_signal_for_the_service() {
    let arguments = [
        "-MPOSIX=:signal_h",
        "-e",
        QUIT_AND_BECOME,
        PROGRAM,
        "--help",
    ];
    let output = lab::service::run("perl", arguments, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn signals_that_mean_nothing_to_the_service_do_not_end_it() {
    let scene = Scene::set();
    for signal in MEANINGLESS {
        scene.service.signal(signal);
    }
    // The kernel has 64 signals, and the C library keeps the first two or three that are real-time signals to itself.
    for signal in 35..=64 {
        let blocked = mask(&scene.service, "SigBlk:") & (1 << (signal - 1));
        assert_ne!(blocked, 0, "signal {signal}");
    }
    scene.service.query();
    assert_eq!(scene.queries(), 1.0);
    assert_eq!(scene.service.stop().code(), Some(0));
}

#[test]
fn each_of_three_signals_ends_the_service_with_status_0() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let scene = Scene::set();
        scene.service.signal(signal);
        scene
            .service
            .wait_for_notification(|said| said.says("STOPPING", "1"), PATIENCE);
        let status = scene.service.wait(PATIENCE);
        assert_eq!((status.code(), status.core_dumped()), (Some(0), false));
    }
}

#[test]
fn a_query_that_ends_within_the_grace_is_reported() {
    let scene = Scene::hanging();
    scene.service.signal(Signal::TERM);
    scene
        .service
        .wait_for_notification(|said| said.says("STOPPING", "1"), PATIENCE);
    scene.release();
    assert_eq!(scene.service.wait(PATIENCE).code(), Some(0));
    let log = scene.service.stderr();
    assert!(log.contains("imagestore.images=7"), "{log}");
}

#[test]
fn a_query_that_outlasts_the_grace_is_abandoned_and_no_failure_of_the_store() {
    let scene = Scene::hanging();
    scene.service.signal(Signal::TERM);
    assert_eq!(scene.service.wait(PATIENCE).code(), Some(0));
    let log = scene.service.stderr();
    assert!(log.contains(" INFO query abandoned"), "{log}");
    for word in [" ERROR ", " WARN ", "failed", "CANCELLED"] {
        assert!(!log.contains(word), "{word} in {log}");
    }
    let told = scene.service.notifications();
    let status = told.iter().rev().find_map(|told| told.status());
    assert_eq!(status, Some("stopping"));
    // It leaves no record: these are of the start and of the end.
    let records = told.iter().filter(|told| told.says("FDSTORE", "1"));
    assert_eq!(records.count(), 2, "{told:?}");
    scene.store.wait_for_open_connections(0, PATIENCE);
}

#[test]
fn triggers_while_the_service_stops_start_nothing() {
    let scene = Scene::hanging();
    scene.service.signal(Signal::TERM);
    scene
        .service
        .wait_for_notification(|said| said.says("STOPPING", "1"), PATIENCE);
    scene.service.trigger();
    scene.release();
    assert_eq!(scene.service.wait(PATIENCE).code(), Some(0));
    assert_eq!(scene.lists(), 1);
}

#[test]
fn a_second_signal_aborts_at_once_with_status_1() {
    let scene = Scene::hanging();
    scene.service.signal(Signal::TERM);
    scene
        .service
        .wait_for_notification(|said| said.says("STOPPING", "1"), PATIENCE);
    scene.service.signal(Signal::INT);
    assert_eq!(scene.service.wait(PATIENCE).code(), Some(1));
    let log = scene.service.stderr();
    assert!(log.contains("aborted"), "{log}");
}

#[test]
fn a_scrape_that_has_begun_is_answered_though_the_service_stops() {
    let scene = Scene::set();
    let mut scrape = Connection::open(scene.service.endpoint()).expect("it is served");
    scrape
        .send(b"GET /metrics HTTP/1.1\r\n")
        .expect("it is read");
    // Answered only when the one before it has been accepted.
    scene.service.scrape();
    scene.service.signal(Signal::TERM);
    scene
        .service
        .wait_for_notification(|said| said.says("STOPPING", "1"), PATIENCE);
    scrape.send(b"Host: localhost\r\n\r\n").expect("it is read");
    let answer = scrape.receive().expect("it is answered");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(scene.service.wait(PATIENCE).code(), Some(0));
}

#[test]
fn scrapes_are_answered_while_the_last_query_has_its_grace() {
    let scene = Scene::hanging();
    let mut scrape = Connection::open(scene.service.endpoint()).expect("it is served");
    assert_eq!(scrape.get("/metrics").expect("it is answered").status, 200);
    scene.service.signal(Signal::TERM);
    scene
        .service
        .wait_for_notification(|said| said.says("STOPPING", "1"), PATIENCE);
    // An idle connection is closed, and does not hold up the end.
    scrape.read_to_close().expect("it is closed");
    scene.release();
    assert_eq!(scene.service.wait(PATIENCE).code(), Some(0));
}
