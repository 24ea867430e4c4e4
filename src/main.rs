//! The order of acts, and the exit codes.

use std::{
    env,
    error::Error,
    io::{self, Write},
    net::UdpSocket,
    os::fd::OwnedFd,
    path::Path,
    pin::pin,
    process::ExitCode,
    time::SystemTime,
};

use exp_rkt_grpc::{
    activation::{self, Origin, Passed, Sockets},
    config::{Command, Config, Environment, Output, REVISION, SERVICE_FILE, StoresFrom},
    daemon::{Daemon, End, TaskEnded},
    exposition::Server,
    images::ImageStore,
    metrics::{Kept, Metrics, TraceOutcome},
    notify::{self, FdStore, Notifier},
    observe::{self, Event, Observer, Trigger},
    process::{self, ProcessCollector},
    query, refusal,
    signals::{self, Signals},
    stdout,
    telemetry::{self, Outcome, Telemetry, Undelivered},
};
use tokio::{
    runtime,
    task::{JoinHandle, yield_now},
};
use tokio_util::sync::CancellationToken;

/// musl's own allocator maps and unmaps every larger buffer, of which a long answer takes thousands: this one keeps them.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// How many names of stores and collectors are looked up at a time, each in a thread of its own; `TasksMax=` of the unit has room
/// for them.
const LOOKUPS: usize = 16;

/// What the command line and the configuration ask for.
enum Act {
    Serve(Config, Sockets),
    Query(Config, Output),
}

/// What the linker places here runs before `main` and before Rust's own start, which takes most of the time until `main` and opens
/// /dev/null in place of a closed standard output. See the System V ABI, "Initialization and Termination Functions".
#[expect(
    unsafe_code,
    reason = "the name of the section is a promise to the linker"
)]
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

/// Rust's runtime has not started yet: nothing here may allocate, print or panic. SIGQUIT's default action is a core dump: one that
/// comes from here on is the first trigger.
extern "C" fn before_main() {
    signals::block();
    stdout::note_whether_closed();
}

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(error) => refusal::fail(error.as_ref()),
    }
}

/// One thread: the signal handlers first; the sockets before any other thread.
fn start() -> Result<ExitCode, Box<dyn Error>> {
    process::require_descriptors()?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(LOOKUPS)
        .build()?;
    let signals = {
        let _within = runtime.enter();
        Signals::register()?
    };
    let mut passed = Passed::from_env()?;
    let done = match configure(&mut passed) {
        Ok(Act::Serve(config, sockets)) => runtime.block_on(serve(config, sockets, signals)),
        Ok(Act::Query(config, output)) => runtime.block_on(query_once(config, output, signals)),
        Err(error) => Ok(runtime.block_on(refusal::refuse(error.as_ref(), passed, signals.stops))),
    };
    // A name that is still being looked up cannot be interrupted, and nobody waits for it any more.
    runtime.shutdown_background();
    done
}

fn configure(passed: &mut Passed) -> Result<Act, Box<dyn Error>> {
    let environment: Environment = env::vars_os().collect();
    let config = Config::read(env::args_os(), &environment, Path::new(SERVICE_FILE))?;
    Ok(match config.options.command {
        Some(Command::Query { output }) => Act::Query(config, output),
        None => {
            let sockets = passed.take(config.listen, config.options.listen)?;
            Act::Serve(config, sockets)
        }
    })
}

async fn serve(
    config: Config,
    sockets: Sockets,
    signals: Signals,
) -> Result<ExitCode, Box<dyn Error>> {
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), REVISION)?;
    let Sockets {
        listeners,
        origin,
        trace,
        stored,
        ignored,
    } = sockets;
    let mut telemetry = start_telemetry(&config, trace, metrics.clone())?;
    for (name, error) in ignored {
        tracing::warn!(name, %error, "stored descriptor ignored");
    }
    let observer = observer(&config, metrics.clone())?;
    let (notifier, delivery) = Notifier::from_env();
    let delivery = tokio::spawn(delivery);
    let fd_store = take_over(&observer.kept(), stored, &notifier);
    // systemd has the record after this turn of the loop, unless it reads nothing: before anything can fail.
    yield_now().await;

    metrics.register(ProcessCollector::new()?)?;
    let addresses = list(listeners.iter());
    let server = Server::new(listeners)?;
    announce(&config, &addresses, origin);

    let stopping = CancellationToken::new();
    let server = tokio::spawn(server.serve(metrics, stopping.clone()));
    let task_ended = first_to_end(server, delivery, telemetry.ended());
    notifier.ready();
    if let Some(summary) = observer.summary(SystemTime::now()) {
        notifier.status(&summary);
    }

    let daemon = Daemon {
        observer,
        query_at_start: config.options.query_at_start,
        watchdog: notify::watchdog_interval(),
        notifier: notifier.clone(),
        fd_store,
        stopping,
    };
    // What was not delivered has been logged.
    let wind_down = async { drop(tokio::join!(telemetry.flush(), notifier.flush())) };
    let ended = daemon.run(signals, task_ended, wind_down).await?;
    Ok(match ended {
        End::Drained => ExitCode::SUCCESS,
        End::Aborted => ExitCode::FAILURE,
    })
}

/// None of these ends while the service runs.
async fn first_to_end(
    server: JoinHandle<()>,
    delivery: JoinHandle<()>,
    telemetry: impl Future<Output = &'static str>,
) -> TaskEnded {
    tokio::select! {
        ended = server => TaskEnded::new("metrics server", ended.err()),
        ended = delivery => TaskEnded::new("delivery of notifications", ended.err()),
        task = telemetry => TaskEnded::new(task, None),
    }
}

async fn query_once(
    config: Config,
    output: Output,
    mut signals: Signals,
) -> Result<ExitCode, Box<dyn Error>> {
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), REVISION)?;
    let mut telemetry = start_telemetry(&config, None, metrics.clone())?;
    warn(&config.warnings);
    if let Some(asks) = config.asks() {
        let _ = writeln!(io::stderr(), "{asks}");
    }
    let mut observer = observer(&config, metrics)?;
    let (event, interrupted) = ask_once(&mut observer, &mut signals).await;
    let print = |text: String| stdout::print("the result of the query", &text);
    // A table is there at once; JSON also says whether the trace was delivered.
    let (printed, delivery) = match (interrupted, output) {
        (Some(_), _) => (Ok(()), deliver(&mut telemetry, &mut signals).await),
        (None, Output::Table) => {
            let printed = print(query::table(&event));
            (printed, deliver(&mut telemetry, &mut signals).await)
        }
        (None, Output::Json) => {
            let delivery = deliver(&mut telemetry, &mut signals).await;
            (print(query::json(&event, &delivery)), delivery)
        }
    };
    // The log comes first.
    drop(telemetry);
    let complaints = [
        interrupted.map(|signal| query::interrupted(signal, &event)),
        delivery.as_ref().err().map(query::undelivered),
    ];
    for complaint in complaints.into_iter().flatten() {
        // Without standard error there is nobody to tell.
        let _ = writeln!(io::stderr(), "{complaint}");
    }
    printed?;
    Ok(match (event.failures(), delivery) {
        (Some(_), _) | (_, Err(Undelivered::Interrupted(_))) => ExitCode::FAILURE,
        (None, _) => ExitCode::SUCCESS,
    })
}

/// One event, and the signal that has ended it early, if one has.
async fn ask_once(observer: &mut Observer, signals: &mut Signals) -> (Event, Option<&'static str>) {
    let abandoned = CancellationToken::new();
    let mut event = pin!(observer.observe(Trigger::Command, abandoned.clone()));
    let signal = tokio::select! {
        event = event.as_mut() => return (event, None),
        signal = signals.interrupt() => signal,
    };
    abandoned.cancel();
    // It ends at once, and may just have ended by itself.
    let event = event.await;
    let interrupted = event.was_abandoned().then_some(signal);
    (event, interrupted)
}

/// Sends the trace, unless a signal says that it is not to be waited for.
async fn deliver(telemetry: &mut Telemetry, signals: &mut Signals) -> Result<(), Undelivered> {
    tokio::select! {
        delivery = telemetry.flush() => delivery,
        signal = signals.interrupt() => Err(Undelivered::Interrupted(signal)),
    }
}

fn observer(config: &Config, metrics: Metrics) -> Result<Observer, tonic::transport::Error> {
    let stores = config
        .stores
        .iter()
        .map(|store| {
            let store = ImageStore::new(store)?;
            Ok(match config.stores_from {
                StoresFrom::Default(_) => store.by_default(),
                _ => store,
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(Observer::new(stores, metrics, config.options.deadline))
}

/// Takes up what the process before this one has kept, and keeps that there is this one: should it end without being asked to, the
/// next one is to know.
fn take_over(kept: &Kept, stored: Vec<(String, OwnedFd)>, notifier: &Notifier) -> FdStore {
    let (fd_store, record) = FdStore::recover(stored, notifier.clone());
    if let Some(record) = record {
        restore(kept, record);
    }
    fd_store.keep(&kept.record(), &kept.short_record());
    fd_store
}

/// The numbers of an earlier process, with their age in their timestamps, and how it ended. What cannot be read is forgotten: the
/// next record takes its place.
fn restore(kept: &Kept, record: io::Result<Vec<u8>>) {
    let restored = record
        .map_err(Box::<dyn Error>::from)
        .and_then(|record| Ok(kept.restore(&record)?));
    match restored {
        Ok(dropped) if dropped.is_empty() => tracing::debug!("kept numbers restored"),
        Ok(dropped) => tracing::info!(
            stores = %list(dropped.iter()),
            "kept numbers dropped, their stores are no longer configured"
        ),
        Err(error) => tracing::warn!(%error, "kept numbers dropped"),
    }
    if let Some(row) = kept.run().row() {
        tracing::warn!(
            name: "service ended unexpectedly",
            {
                ends = row.ends,
                first = observe::ago(row.since),
                cure = "journalctl -u exp-rkt-grpc shows what came before this line",
            },
            "the service ended without being asked to and was started again"
        );
    }
}

fn start_telemetry(
    config: &Config,
    agent_socket: Option<UdpSocket>,
    metrics: Metrics,
) -> Result<Telemetry, Box<dyn Error>> {
    let lines = metrics.clone();
    let count = move |outcome| {
        metrics.trace_ended(match outcome {
            Outcome::Exported => TraceOutcome::Exported,
            Outcome::Failed => TraceOutcome::Failed,
            Outcome::Dropped => TraceOutcome::Dropped,
        });
    };
    Ok(telemetry::start(
        &config.options.log,
        &config.traces,
        agent_socket,
        count,
        move || lines.log_line_dropped(),
    )?)
}

fn list(items: impl Iterator<Item: ToString>) -> String {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    items.join(",")
}

fn announce(config: &Config, addresses: &str, origin: Origin) {
    let socket = match origin {
        Origin::Systemd => "passed by systemd",
        Origin::Bound => "bound by the service",
    };
    warn(&config.warnings);
    if let (Origin::Systemd, Some(address)) = (origin, config.listen) {
        tracing::warn!(
            %address,
            cure = activation::CHANGE_OF_ADDRESS,
            "--listen (EXP_RKT_GRPC_LISTEN) has no effect: systemd passed a socket"
        );
    }
    tracing::info!(
        name: "service ready",
        {
            address = %addresses,
            socket,
            stores = %list(config.stores.iter()),
            traces = config.traces.to_string(),
        },
        "serving metrics"
    );
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!(warning, "setting not applied as given");
    }
}
