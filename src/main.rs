//! The order of acts, and the exit codes.

use std::{
    env,
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use exp_rkt_grpc::{
    activation::{self, ActivationError, Listener, Origin},
    config::{Config, ConfigError, REVISION},
    daemon::{Daemon, End},
    exposition,
    images::ImageStore,
    metrics::{Metrics, TraceOutcome},
    notify,
    observe::Observer,
    process::ProcessCollector,
    signals::Signals,
    telemetry::{self, Outcome, Telemetry},
};
use tokio::runtime;
use tokio_util::sync::CancellationToken;

/// EX_CONFIG of sysexits.h: starting again with the same settings is of no use, and the unit does not.
const EX_CONFIG: u8 = 78;

fn main() -> ExitCode {
    match start() {
        Ok(End::Drained) => ExitCode::SUCCESS,
        Ok(End::Aborted) => ExitCode::FAILURE,
        Err(error) => refuse(error.as_ref()),
    }
}

/// One thread: the signal handlers first, because SIGQUIT's default action is a core dump; the sockets before any other thread.
fn start() -> Result<End, Box<dyn Error>> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let signals = {
        let _within = runtime.enter();
        Signals::register()?
    };
    let config = Config::read(env::args_os(), |name| env::var_os(name))?;
    let listener = activation::take(config.options.listen)?;
    let end = runtime.block_on(run(config, listener, signals));
    // A name that is still being looked up cannot be interrupted, and nobody waits for it any more.
    runtime.shutdown_background();
    end
}

async fn run(config: Config, listener: Listener, signals: Signals) -> Result<End, Box<dyn Error>> {
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), REVISION)?;
    metrics.register(ProcessCollector::new()?)?;
    let telemetry = start_telemetry(&config, metrics.clone())?;
    let stores = config
        .options
        .stores
        .iter()
        .map(ImageStore::new)
        .collect::<Result<_, _>>()?;

    announce(&config, &listener);
    let stopping = CancellationToken::new();
    let server = tokio::spawn(exposition::serve(
        listener,
        metrics.clone(),
        stopping.clone(),
    ));
    notify::ready();

    let daemon = Daemon {
        observer: Observer::new(stores, metrics, config.options.deadline, notify::status),
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
    Ok(daemon.run(signals, wind_down).await)
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
