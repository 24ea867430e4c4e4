//! The order of acts, and the exit codes.

use std::{
    env,
    error::Error,
    io::{self, Write},
    net::UdpSocket,
    process::ExitCode,
};

use exp_rkt_grpc::{
    activation::{self, ActivationError, Origin, Socket, Sockets},
    config::{Command, Config, ConfigError, Output, REVISION},
    daemon::{Daemon, End},
    exposition,
    images::ImageStore,
    metrics::{Metrics, RecordError, TraceOutcome},
    notify::{self, FdStore},
    observe::{Observer, Trigger},
    process::ProcessCollector,
    query,
    signals::Signals,
    telemetry::{self, Outcome, Telemetry},
};
use tokio::runtime;
use tokio_util::sync::CancellationToken;

/// musl's own allocator maps and unmaps every larger buffer, of which a long answer takes thousands: this one keeps them.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// EX_CONFIG of sysexits.h: starting again with the same settings is of no use, and the unit does not.
const EX_CONFIG: u8 = 78;

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(error) => refuse(error.as_ref()),
    }
}

/// One thread: the signal handlers first, because SIGQUIT's default action is a core dump; the sockets before any other thread.
fn start() -> Result<ExitCode, Box<dyn Error>> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let signals = {
        let _within = runtime.enter();
        Signals::register()?
    };
    let config = Config::read(env::args_os(), |name| env::var_os(name))?;
    let done = match config.options.command {
        Some(Command::Query { output }) => runtime.block_on(query_once(config, output, signals)),
        None => {
            let sockets = activation::take(config.options.listen)?;
            runtime.block_on(serve(config, sockets, signals))
        }
    };
    // A name that is still being looked up cannot be interrupted, and nobody waits for it any more.
    runtime.shutdown_background();
    done
}

async fn serve(
    config: Config,
    sockets: Sockets,
    signals: Signals,
) -> Result<ExitCode, Box<dyn Error>> {
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), REVISION)?;
    metrics.register(ProcessCollector::new()?)?;
    let Sockets {
        listeners,
        origin,
        trace,
        stored,
    } = sockets;
    let telemetry = start_telemetry(&config, trace, metrics.clone())?;
    let observer = observer(&config, metrics.clone())?;
    let (fd_store, record) = FdStore::recover(stored);
    if let Some(record) = record {
        let restored = restore(&config, &metrics, &record);
        restored.unwrap_or_else(|error| fd_store.drop_record(&error));
    }
    announce(&config, &listeners, origin);

    let stopping = CancellationToken::new();
    let server = tokio::spawn(exposition::serve(listeners, metrics, stopping.clone()));
    notify::ready();

    let daemon = Daemon {
        observer,
        query_at_start: config.options.query_at_start,
        watchdog: notify::watchdog_interval(),
        fd_store,
        stopping,
    };
    let wind_down = async {
        match server.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "metrics not served"),
            Err(error) => tracing::error!(%error, "metrics server lost"),
        }
        telemetry.flush().await;
    };
    Ok(match daemon.run(signals, wind_down).await {
        End::Drained => ExitCode::SUCCESS,
        End::Aborted => ExitCode::FAILURE,
    })
}

async fn query_once(
    config: Config,
    output: Output,
    mut signals: Signals,
) -> Result<ExitCode, Box<dyn Error>> {
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), REVISION)?;
    let telemetry = start_telemetry(&config, None, metrics.clone())?;
    let mut observer = observer(&config, metrics)?;
    let abandoned = CancellationToken::new();
    let event = tokio::select! {
        event = observer.observe(Trigger::Command, abandoned.clone()) => event,
        _ = signals.stops.next() => return Ok(ExitCode::FAILURE),
    };
    let text = match output {
        Output::Table => query::table(&event),
        Output::Json => query::json(&event),
    };
    let printed = io::stdout().write_all(text.as_bytes());
    telemetry.flush().await;
    printed?;
    Ok(match event.failures() {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    })
}

fn observer(config: &Config, metrics: Metrics) -> Result<Observer, tonic::transport::Error> {
    let stores = config
        .options
        .stores
        .iter()
        .map(|store| {
            let store = ImageStore::new(store)?;
            Ok(store.with_max_response(config.options.max_response))
        })
        .collect::<Result<_, _>>()?;
    Ok(Observer::new(stores, metrics, config.options.deadline))
}

/// The numbers of an earlier process, with their age in their timestamps.
fn restore(config: &Config, metrics: &Metrics, record: &[u8]) -> Result<(), RecordError> {
    let stores = config.options.stores.iter();
    let stores: Vec<&str> = stores.map(|store| store.name.as_str()).collect();
    metrics.restore(record, &stores)?;
    tracing::debug!(bytes = record.len(), "kept numbers restored");
    Ok(())
}

fn start_telemetry(
    config: &Config,
    agent_socket: Option<UdpSocket>,
    metrics: Metrics,
) -> Result<Telemetry, Box<dyn Error>> {
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
    )?)
}

fn announce(config: &Config, listeners: &[Socket], origin: Origin) {
    fn list(items: impl Iterator<Item: ToString>) -> String {
        let items: Vec<String> = items.map(|item| item.to_string()).collect();
        items.join(",")
    }
    let socket = match origin {
        Origin::Systemd => "passed by systemd",
        Origin::Bound => "bound by the service",
    };
    tracing::info!(
        name: "service ready",
        {
            address = %list(listeners.iter()),
            socket,
            stores = %list(config.options.stores.iter()),
        },
        "serving metrics"
    );
}

/// Says once why there is no service, one cause a line.
fn refuse(error: &(dyn Error + 'static)) -> ExitCode {
    if let Some(ConfigError::Asked(text)) = error.downcast_ref() {
        // A reader that has gone, as in `--help | head`, has seen enough.
        let _ = io::stdout().write_all(text.as_bytes());
        return ExitCode::SUCCESS;
    }
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(source) = cause {
        causes.push(format!("\n  because: {source}"));
        cause = source.source();
    }
    let text = format!("{error}{}", causes.concat());
    notify::status(&error.to_string());
    let of_configuration = error.is::<ConfigError>()
        || error
            .downcast_ref()
            .is_some_and(ActivationError::is_configuration);
    say(&text, of_configuration);
    ExitCode::from(if of_configuration { EX_CONFIG } else { 1 })
}

/// To the journal as an entry with an id, or to standard error.
fn say(text: &str, of_configuration: bool) {
    let said = telemetry::log_to_journal(|| {
        if of_configuration {
            tracing::error!(name: "configuration refused", { error = text }, "configuration refused");
        } else {
            tracing::error!(error = text, "service failed");
        }
    });
    if !said {
        // Without standard error there is nobody left to tell.
        let _ = writeln!(io::stderr(), "exp-rkt-grpc: {text}");
    }
}
