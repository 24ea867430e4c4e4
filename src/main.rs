//! The order of acts, and the exit codes.

use std::{
    env,
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use exp_rkt_grpc::{
    activation::{self, ActivationError, Listener, Origin},
    config::{Command, Config, ConfigError, Output, REVISION},
    daemon::{Daemon, End},
    exposition,
    images::ImageStore,
    metrics::{Metrics, TraceOutcome},
    notify,
    observe::{Observer, Trigger},
    process::ProcessCollector,
    query,
    signals::Signals,
    telemetry::{self, Outcome, Telemetry},
};
use tokio::runtime;
use tokio_util::sync::CancellationToken;

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
    if let Some(Command::Query { output }) = config.options.command {
        return runtime.block_on(query_once(config, output, signals));
    }
    let listener = activation::take(config.options.listen)?;
    runtime.block_on(serve(config, listener, signals))
}

async fn serve(
    config: Config,
    listener: Listener,
    signals: Signals,
) -> Result<ExitCode, Box<dyn Error>> {
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), REVISION)?;
    metrics.register(ProcessCollector::new()?)?;
    let telemetry = start_telemetry(&config, metrics.clone())?;
    let observer = observer(&config, metrics.clone())?;

    announce(&config, &listener);
    let stopping = CancellationToken::new();
    let server = tokio::spawn(exposition::serve(listener, metrics, stopping.clone()));
    notify::ready();

    let daemon = Daemon {
        observer,
        query_at_start: config.options.query_at_start,
        watchdog: notify::watchdog_interval(),
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
    let telemetry = start_telemetry(&config, metrics.clone())?;
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
    io::stdout().write_all(text.as_bytes())?;
    telemetry.flush().await;
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

fn start_telemetry(config: &Config, metrics: Metrics) -> Result<Telemetry, Box<dyn Error>> {
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
        count,
    )?)
}

fn announce(config: &Config, listener: &Listener) {
    let stores: Vec<String> = config
        .options
        .stores
        .iter()
        .map(ToString::to_string)
        .collect();
    let socket = match listener.origin {
        Origin::Systemd => "passed by systemd",
        Origin::Bound => "bound by the service",
    };
    tracing::info!(
        name: "service ready",
        address = %listener.socket,
        socket,
        stores = stores.join(","),
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
    let mut lines = format!("exp-rkt-grpc: {error}\n");
    let mut cause = error.source();
    while let Some(source) = cause {
        lines.push_str(&format!("  because: {source}\n"));
        cause = source.source();
    }
    notify::status(&error.to_string());
    // Without standard error there is nobody left to tell.
    let _ = io::stderr().write_all(lines.as_bytes());
    let of_configuration = error.is::<ConfigError>()
        || error
            .downcast_ref()
            .is_some_and(ActivationError::is_configuration);
    ExitCode::from(if of_configuration { EX_CONFIG } else { 1 })
}
