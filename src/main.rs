//! Start-up, the service or one query, and the exit codes.

use std::{
    env,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    time::SystemTime,
};

use exp_rkt_grpc::{
    REVISION,
    activation::{Origin, Passed, Sockets},
    config::{Command, Config, ConfigError, Environment, Output, SERVICE_FILE},
    daemon::{self, Daemon, End, TaskEnded},
    exposition::Server,
    metrics::Metrics,
    notify::{self, Notifier},
    observe::Observer,
    process::{self, ProcessCollector},
    query,
    refusal::Refusal,
    signals::{self, Signals},
    stdout,
    telemetry::{self, Telemetry},
};
use tokio::{
    runtime,
    task::{JoinHandle, yield_now},
};
use tokio_util::sync::CancellationToken;

/// musl's own allocator maps and unmaps every larger buffer, and a long answer needs thousands of them; dlmalloc reuses them.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Threads for what blocks: lookups of host names, and the measurement of file systems. `TasksMax=` of the unit leaves room for them.
const BLOCKING_THREADS: usize = 16;

/// What the command line and the configuration ask for.
enum Action {
    Serve(Config, Sockets),
    Query(Config, Output),
    Print(String),
}

/// The linker places this pointer among the functions that run before `main` and before Rust's runtime starts. That runtime takes
/// most of the start-up time, and replaces a closed standard output by /dev/null. See the System V ABI, "Initialization and
/// Termination Functions".
#[expect(
    unsafe_code,
    reason = "the section must contain nothing but pointers to functions"
)]
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

/// Rust's runtime has not started yet, so nothing here may allocate, print or panic. SIGQUIT's default action is a core dump; once
/// blocked, it stays pending and becomes the first trigger.
extern "C" fn before_main() {
    signals::block();
    stdout::note_whether_writable();
}

fn main() -> ExitCode {
    start().unwrap_or_else(|refusal| {
        refusal.report();
        refusal.exit_code()
    })
}

/// Runs on one thread: the sockets must be taken before any other thread exists. SIGQUIT stays blocked until the handlers are
/// registered.
fn start() -> Result<ExitCode, Refusal> {
    process::require_descriptors()?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    let mut signals = {
        let _within = runtime.enter();
        Signals::register()?
    };
    let mut passed = Passed::from_env()?;
    let done = match configure(&mut passed) {
        Ok(Action::Serve(config, sockets)) => runtime.block_on(serve(config, sockets, signals)),
        Ok(Action::Query(config, output)) => runtime.block_on(query(config, output, signals)),
        Ok(Action::Print(text)) => runtime
            .block_on(stdout::show(text, signals.stops.next()))
            .map(|()| ExitCode::SUCCESS)
            .map_err(Refusal::from),
        Err(refusal) => {
            refusal.report();
            runtime.block_on(refusal.pause(passed, signals.stops));
            Ok(refusal.exit_code())
        }
    };
    // A running name lookup cannot be interrupted, so do not wait for it.
    runtime.shutdown_background();
    done
}

fn configure(passed: &mut Passed) -> Result<Action, Refusal> {
    let environment: Environment = env::vars_os().collect();
    let config = match Config::read(env::args_os(), &environment, Path::new(SERVICE_FILE)) {
        Err(ConfigError::Asked(text)) => return Ok(Action::Print(text)),
        config => config?,
    };
    Ok(match config.options.command {
        Some(Command::Query { output }) => Action::Query(config, output),
        None => {
            let sockets = passed.take(config.listen, config.options.listen)?;
            Action::Serve(config, sockets)
        }
    })
}

async fn serve(config: Config, sockets: Sockets, signals: Signals) -> Result<ExitCode, Refusal> {
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), REVISION)?;
    let (mut telemetry, observer) = prepare(&config, &metrics)?;
    sockets.warn_of_ignored();
    let (notifier, delivery) = Notifier::from_env();
    let delivery = tokio::spawn(delivery);
    let fd_store = daemon::take_over(&observer.kept(), sockets.stored, &notifier);
    // Lets the record be sent before anything below can fail; only systemd's full socket delays it.
    yield_now().await;

    metrics.register(ProcessCollector::new()?)?;
    let addresses: Vec<String> = sockets.listeners.iter().map(ToString::to_string).collect();
    let server = Server::new(sockets.listeners)?;
    announce(&config, &addresses.join(","), sockets.origin);

    let stopping = CancellationToken::new();
    let status = observer
        .status()
        .with_trace_url(config.options.trace_url.clone());
    let server = tokio::spawn(server.serve(metrics, status, stopping.clone()));
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
    // Failed deliveries have been logged.
    let wind_down = async { drop(tokio::join!(telemetry.flush(), notifier.flush())) };
    let ended = daemon.run(signals, task_ended, wind_down).await?;
    Ok(match ended {
        End::Drained => ExitCode::SUCCESS,
        End::Aborted => ExitCode::FAILURE,
    })
}

async fn query(config: Config, output: Output, signals: Signals) -> Result<ExitCode, Refusal> {
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), REVISION)?;
    let (telemetry, observer) = prepare(&config, &metrics)?;
    let warnings = config.warnings.iter();
    let warnings = warnings.map(|warning| format!("exp-rkt-grpc: {warning}"));
    for line in warnings.chain(config.stores_and_origin()) {
        // Without standard error, nothing can be reported.
        let _ = writeln!(io::stderr(), "{line}");
    }
    Ok(query::run(observer, telemetry, output, signals).await?)
}

/// Sets up logs, traces and the stores.
fn prepare(config: &Config, metrics: &Metrics) -> Result<(Telemetry, Observer), Refusal> {
    let log = &config.options.log;
    let telemetry = telemetry::start(log, &config.traces, metrics.clone())?;
    let deadline = config.options.deadline;
    let observer = Observer::new(config.image_stores(), metrics.clone(), deadline);
    Ok((telemetry, observer))
}

/// Waits for the first task to end; none of them should while the service runs.
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

fn announce(config: &Config, addresses: &str, origin: Origin) {
    config.warn();
    origin.warn_of_unused(config.listen);
    let stores: Vec<String> = config.stores.iter().map(ToString::to_string).collect();
    tracing::info!(
        name: "service ready",
        {
            address = %addresses,
            socket = origin.to_string(),
            stores = %stores.join(","),
            traces = config.traces.to_string(),
        },
        "serving metrics"
    );
}
