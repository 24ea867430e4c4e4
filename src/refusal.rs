//! Why the service did not start or ended early: the message, the exit code, and the pause before the exit.
//!
//! A connection that waits in the metrics socket makes systemd start the service again as soon as it exits. With a refused
//! configuration that would loop, so the program first pauses; the connection keeps waiting.

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

/// EX_CONFIG of sysexits.h: a restart with the same settings cannot succeed, so the unit does not restart the service.
const EX_CONFIG: u8 = 78;

/// Pause before the exit if the configuration is refused and a connection waits.
const PAUSE: Duration = Duration::from_secs(40);

/// Added to the pause when systemd is asked for more start-up time.
const PAUSE_MARGIN: Duration = Duration::from_secs(10);

/// Why the service did not start or ended early.
#[derive(Debug, Error)]
#[error(transparent)]
pub enum Refusal {
    /// The settings are refused.
    Config(#[from] ConfigError),
    /// There is no usable listening socket.
    Activation(#[from] ActivationError),
    /// Too few file descriptors are available.
    Descriptors(#[from] TooFewDescriptors),
    /// The runtime or the signal handlers cannot be set up.
    Runtime(#[from] io::Error),
    /// A family of metrics cannot be registered.
    Metrics(#[from] prometheus::Error),
    /// The log cannot be set up.
    Telemetry(#[from] TelemetryError),
    /// A socket cannot be served.
    Server(#[from] ServerError),
    /// A task that the service needs has ended.
    Task(#[from] TaskEnded),
    /// The output could not be written to standard output.
    Output(#[from] Unprinted),
}

impl Refusal {
    /// 78 (EX_CONFIG) if a restart with the same units and settings would fail again, otherwise 1.
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

    /// Reports the error once, one cause per line, to systemd and to the log.
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
            // The thread of the log cannot be started, so this thread writes. If standard error fails too, nothing can be reported.
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

    /// Waits for 40 s if a waiting connection would make systemd start the service again at once; a stop signal ends the wait.
    pub async fn pause(&self, passed: Passed, mut stops: Stops) {
        let restarts_at_once = self.is_of_configuration() && passed.has_waiting_connection();
        if restarts_at_once && notify::extend_start(PAUSE + PAUSE_MARGIN) {
            tokio::select! {
                () = sleep(PAUSE) => {}
                _ = stops.next() => {}
            }
        }
    }
}
