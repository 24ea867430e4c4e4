//! SIGQUIT triggers a query; SIGTERM, SIGINT and SIGHUP stop the service.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use lab::exposition::Scrape;
use lab::poll::eventually;
use lab::rkt_api_service::{Behaviour, Images, Method, StandIn};
use lab::service::http::Connection;
use lab::service::{Builder, PATIENCE, Service, Signal};

/// The number of images in the stand-ins.
const IMAGES: usize = 7;

const PROGRAM: &str = env!("CARGO_BIN_EXE_exp-rkt-grpc");

/// Executes a program with SIGQUIT blocked and pending, and SIGTERM blocked.
const EXEC_WITH_PENDING_QUIT: &str =
    "sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGQUIT, SIGTERM)); kill QUIT => $$; exec @ARGV";

/// Signals whose default action would end the service, besides the real-time signals.
const OTHERS: [Signal; 8] = [
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::STKFLT,
    Signal::VTALARM,
    Signal::PROF,
    Signal::IO,
    Signal::POWER,
];

/// Far more signals than occur in practice.
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
            .expect("queries are counted from the start")
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

/// A signal mask of `/proc/PID/status`: signal n is bit n - 1.
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
fn a_burst_of_signals_during_a_query_causes_exactly_one_more_query() {
    let scene = Scene::hanging();
    for _ in 0..BURST {
        scene.service.trigger();
    }
    scene.release();
    scene.service.wait_for_status(PATIENCE);
    scene.service.wait_for_status(PATIENCE);
    // A third query would have begun at once, and its trigger would be counted.
    let triggers = scene.service.scrape().sum("exp_rkt_grpc_triggers_total");
    assert_eq!(triggers, Some(2.0));
    assert_eq!((scene.queries(), scene.lists()), (2.0, 2));
}

#[test]
fn a_signal_during_a_query_causes_one_more_query_after_it() {
    let scene = Scene::hanging();
    scene.service.trigger();
    assert_eq!(scene.lists(), 1);
    scene.release();
    scene.service.wait_for_status(PATIENCE);
    scene.service.wait_for_status(PATIENCE);
    assert_eq!((scene.queries(), scene.lists()), (2.0, 2));
}

#[test]
fn an_idle_service_survives_a_burst_of_signals_and_counts_every_query() {
    let scene = Scene::set();
    for _ in 0..BURST {
        scene.service.trigger();
    }
    // The kernel may merge signals, but never drops the last one.
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
        // SIGHUP's handler is installed last, so SIGQUIT's is in place by then.
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
fn a_signal_that_is_pending_at_exec_triggers_the_first_query() {
    let store = StandIn::tcp(Images::generated(IMAGES));
    // SIGQUIT is blocked and pending at exec(2), and the service has to reset the inherited mask.
    let service = Service::builder("perl")
        .env("OTEL_TRACES_EXPORTER", "none")
        .arg("-MPOSIX=:signal_h")
        .arg("-e")
        .arg(EXEC_WITH_PENDING_QUIT)
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
fn a_pending_sigquit_does_not_end_help() {
    let arguments = [
        "-MPOSIX=:signal_h",
        "-e",
        EXEC_WITH_PENDING_QUIT,
        PROGRAM,
        "--help",
    ];
    let output = lab::service::run("perl", arguments, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn signals_without_a_meaning_for_the_service_do_not_end_it() {
    let scene = Scene::set();
    for signal in OTHERS {
        scene.service.signal(signal);
    }
    // The kernel has 64 signals, and the C library reserves the first two or three real-time signals.
    for signal in 35..=64 {
        let blocked = mask(&scene.service, "SigBlk:") & (1 << (signal - 1));
        assert_ne!(blocked, 0, "signal {signal}");
    }
    scene.service.query();
    assert_eq!(scene.queries(), 1.0);
    assert_eq!(scene.service.stop().code(), Some(0));
}

#[test]
fn sigterm_sigint_and_sighup_end_the_service_with_status_0() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let scene = Scene::set();
        scene.service.signal(signal);
        scene
            .service
            .wait_for_notification(|sent| sent.says("STOPPING", "1"), PATIENCE);
        let status = scene.service.wait(PATIENCE);
        assert_eq!((status.code(), status.core_dumped()), (Some(0), false));
    }
}

#[test]
fn a_query_that_ends_within_the_grace_period_is_reported() {
    let scene = Scene::hanging();
    scene.service.signal(Signal::TERM);
    scene
        .service
        .wait_for_notification(|sent| sent.says("STOPPING", "1"), PATIENCE);
    scene.release();
    assert_eq!(scene.service.wait(PATIENCE).code(), Some(0));
    let log = scene.service.stderr();
    assert!(log.contains("imagestore.images=7"), "{log}");
}

#[test]
fn a_query_that_outlasts_the_grace_period_is_abandoned_and_not_a_failure_of_the_store() {
    let scene = Scene::hanging();
    scene.service.signal(Signal::TERM);
    assert_eq!(scene.service.wait(PATIENCE).code(), Some(0));
    let log = scene.service.stderr();
    assert!(log.contains(" INFO query abandoned"), "{log}");
    for word in [" ERROR ", " WARN ", "failed", "CANCELLED"] {
        assert!(!log.contains(word), "{word} in {log}");
    }
    let notifications = scene.service.notifications();
    let status = notifications.iter().rev().find_map(|sent| sent.status());
    assert_eq!(status, Some("stopping"));
    // The abandoned query leaves no record: the two are of the start and of the end.
    let records = notifications
        .iter()
        .filter(|sent| sent.says("FDSTORE", "1"));
    assert_eq!(records.count(), 2, "{notifications:?}");
    scene.store.wait_for_open_connections(0, PATIENCE);
}

#[test]
fn triggers_while_the_service_stops_start_no_query() {
    let scene = Scene::hanging();
    scene.service.signal(Signal::TERM);
    scene
        .service
        .wait_for_notification(|sent| sent.says("STOPPING", "1"), PATIENCE);
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
        .wait_for_notification(|sent| sent.says("STOPPING", "1"), PATIENCE);
    scene.service.signal(Signal::INT);
    assert_eq!(scene.service.wait(PATIENCE).code(), Some(1));
    let log = scene.service.stderr();
    assert!(log.contains("aborted"), "{log}");
}

#[test]
fn idle_connections_are_closed_while_the_last_query_has_its_grace_period() {
    let scene = Scene::hanging();
    let mut scrape = Connection::open(scene.service.endpoint()).expect("the service listens");
    assert_eq!(
        scrape
            .get("/metrics")
            .expect("the scrape is answered")
            .status,
        200
    );
    scene.service.signal(Signal::TERM);
    scene
        .service
        .wait_for_notification(|sent| sent.says("STOPPING", "1"), PATIENCE);
    // An idle connection is closed and does not delay the exit.
    scrape
        .read_to_close()
        .expect("the service closes the connection");
    scene.release();
    assert_eq!(scene.service.wait(PATIENCE).code(), Some(0));
}
