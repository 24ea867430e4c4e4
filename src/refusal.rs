//! Why there is no service: how that is said, with which exit code, and when the program then ends.
//!
//! A connection that waits in the metrics socket starts the service again as soon as it has ended. A refused configuration would be
//! refused over and over, so the program then stays for a while, with the connection still waiting.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use thiserror::Error;
use tokio::time::sleep;

use crate::{
    activation::{ActivationError, Passed},
    config::ConfigError,
    daemon::TaskEnded,
    exposition::ServerError,
    notify,
    process::TooFewDescriptors,
    signals::Stops,
    stdout::Unprinted,
    telemetry::{self, TelemetryError},
};

/// EX_CONFIG of sysexits.h: starting again with the same settings is of no use, and the unit does not.
const EX_CONFIG: u8 = 78;

/// How long a refused configuration stays while a connection waits.
const PAUSE: Duration = Duration::from_secs(40);

/// By how much longer systemd may wait for its end.
const PAUSE_MARGIN: Duration = Duration::from_secs(10);

/// Why there is no service, or none any more.
#[derive(Debug, Error)]
#[error(transparent)]
pub enum Refusal {
    /// The settings are refused.
    Config(#[from] ConfigError),
    /// There is no socket to serve.
    Activation(#[from] ActivationError),
    /// There are too few descriptors to start with.
    Descriptors(#[from] TooFewDescriptors),
    /// The runtime or the signal handlers cannot be set up.
    Runtime(#[from] io::Error),
    /// A family of metrics cannot be registered.
    Metrics(#[from] prometheus::Error),
    /// There is no log, or no exporter of traces.
    Telemetry(#[from] TelemetryError),
    /// A store's address cannot be used.
    Store(#[from] tonic::transport::Error),
    /// A socket cannot be served.
    Server(#[from] ServerError),
    /// A task has ended that the service cannot do without.
    Task(#[from] TaskEnded),
    /// Standard output does not take what was asked for.
    Output(#[from] Unprinted),
}

impl Refusal {
    /// 78 (EX_CONFIG) when starting again with the same units and settings is bound to fail again, otherwise 1.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        if self.is_of_configuration() {
            ExitCode::from(EX_CONFIG)
        } else {
            ExitCode::FAILURE
        }
    }

    fn is_of_configuration(&self) -> bool {
        match self {
            Self::Config(_) => true,
            Self::Activation(error) => error.is_configuration(),
            _ => false,
        }
    }

    /// Says it once, one cause a line, to systemd and to the log.
    pub fn report(&self) {
        let mut causes = Vec::new();
        let mut cause = self.source();
        while let Some(source) = cause {
            causes.push(format!("\n  because: {source}"));
            cause = source.source();
        }
        let text = format!("{self}{}", causes.concat());
        notify::last_status(&if self.is_of_configuration() {
            format!("configuration refused: {self}")
        } else {
            self.to_string()
        });
        if telemetry::last_words(|| self.log(&text)).is_err() {
            // Without a thread that waits for a reader, this one does; without standard error there is nobody left to tell.
            let _ = writeln!(io::stderr(), "exp-rkt-grpc: {text}");
        }
    }

    fn log(&self, text: &str) {
        if self.is_of_configuration() {
            tracing::error!(name: "configuration refused", { error = text }, "configuration refused");
        } else {
            tracing::error!(error = text, "service failed");
        }
    }

    /// If systemd would start the same again at once, for a connection that waits, waits for 40 s; a signal to stop ends that.
    pub async fn pause(&self, passed: Passed, mut stops: Stops) {
        let again_at_once = self.is_of_configuration() && passed.has_waiting_connection();
        if again_at_once && notify::extend_start(PAUSE + PAUSE_MARGIN) {
            tokio::select! {
                () = sleep(PAUSE) => {}
                _ = stops.next() => {}
            }
        }
    }
}
