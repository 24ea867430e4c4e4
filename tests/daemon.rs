//! The daemon's loop ends with an error if an essential task ends: a service without its server must not keep running.

use std::cell::Cell;
use std::error::Error;
use std::time::Duration;

use exp_rkt_grpc::config;
use exp_rkt_grpc::daemon::{Daemon, End, TaskEnded};
use exp_rkt_grpc::images::ImageStore;
use exp_rkt_grpc::metrics::{Coding, Format, Metrics};
use exp_rkt_grpc::notify::{FdStore, Notifier};
use exp_rkt_grpc::observe::Observer;
use exp_rkt_grpc::signals::Signals;
use lab::rkt_api_service::{Behaviour, Images, StandIn};
use lab::service::PATIENCE;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Short, so that the loop has watchdog work to do all the time.
const WATCHDOG: Duration = Duration::from_millis(1);

/// A daemon that queries this store at its start, and its metrics.
fn daemon(store: &StandIn) -> (Daemon, Metrics) {
    let metrics = Metrics::new("0", "").expect("the metric names are valid");
    let config = config::store(&store.url()).expect("the URL is valid");
    let store = ImageStore::new(&config);
    let daemon = Daemon {
        observer: Observer::new(vec![store], metrics.clone(), Duration::from_secs(3600)),
        query_at_start: true,
        watchdog: Some(WATCHDOG),
        notifier: Notifier::default(),
        fd_store: FdStore::default(),
        stopping: CancellationToken::new(),
    };
    (daemon, metrics)
}

/// Runs the loop with this task and returns how it ends. Panics unless it winds down.
async fn run(daemon: Daemon, task: impl Future<Output = TaskEnded>) -> Result<End, TaskEnded> {
    let wound_down = Cell::new(false);
    let stopping = daemon.stopping.clone();
    let signals = Signals::register().expect("a process can catch signals");
    let wind_down = async { wound_down.set(stopping.is_cancelled()) };
    let ended = timeout(PATIENCE, daemon.run(signals, task, wind_down)).await;
    let ended = ended.expect("the loop ends with its task");
    assert!(
        wound_down.get(),
        "the loop did not wind down after it was cancelled"
    );
    ended
}

#[tokio::test]
async fn a_service_whose_server_has_ended_ends_with_an_error() {
    let store = StandIn::tcp(Images::generated(1));
    let (daemon, _) = daemon(&store);
    let ended = run(daemon, async { TaskEnded::new("metrics server", None) }).await;
    let error = ended.expect_err("no stop was requested");
    assert_eq!(
        error.to_string(),
        "the metrics server ended while the service was running"
    );
    assert!(error.source().is_none());
}

#[tokio::test]
async fn the_error_has_the_panic_of_the_server_as_its_source() {
    let store = StandIn::tcp(Images::generated(1));
    let (daemon, _) = daemon(&store);
    let server = tokio::spawn(async { panic!("out of cheese") });
    let task = async { TaskEnded::new("metrics server", server.await.err()) };
    let error = run(daemon, task).await.expect_err("no stop was requested");
    let why = error.source().expect("the panic is the source").to_string();
    assert!(why.contains("out of cheese"), "{why}");
}

#[tokio::test]
async fn a_query_that_runs_when_the_server_ends_is_abandoned() {
    let store = StandIn::tcp(Images::generated(1));
    store.behave(Behaviour::Hang);
    let (daemon, metrics) = daemon(&store);
    let before = shown(&metrics);
    let calls = store.follow();
    let task = async {
        let called = spawn_blocking(move || calls.recv_timeout(PATIENCE));
        called
            .await
            .expect("no panic")
            .expect("the store is queried");
        TaskEnded::new("metrics server", None)
    };
    run(daemon, task).await.expect_err("no stop was requested");
    assert_eq!(shown(&metrics), before);
}

/// The metrics of stores.
fn shown(metrics: &Metrics) -> Vec<String> {
    let text = metrics
        .encode(Format::Text, Coding::Identity)
        .expect("the metrics can be encoded");
    let text = String::from_utf8(text).expect("the exposition is UTF-8");
    let lines = text.lines().filter(|line| line.starts_with("imagestore_"));
    lines.map(str::to_owned).collect()
}
