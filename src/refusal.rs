//! Why there is no service: what is said about it, and when the program then ends.
//!
//! A connection that waits in the metrics socket starts the service again as soon as it has ended. A refused configuration would be
//! refused over and over, so the program then stays for a while, with the connection still waiting.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use tokio::time::sleep;

use crate::{
    activation::{ActivationError, Passed},
    config::ConfigError,
    notify,
    signals::Stops,
    stdout, telemetry,
};

/// EX_CONFIG of sysexits.h: starting again with the same settings is of no use, and the unit does not.
const EX_CONFIG: u8 = 78;

/// How long a refused configuration stays while a connection waits.
const PAUSE: Duration = Duration::from_secs(40);

/// By how much longer systemd may wait for its end.
const PAUSE_MARGIN: Duration = Duration::from_secs(10);

/// Says why nothing was started. If systemd would start the same again at once, for a connection that waits, this waits for 40 s;
/// a signal to stop ends that.
pub async fn refuse(error: &(dyn Error + 'static), passed: Passed, mut stops: Stops) -> ExitCode {
    let code = fail(error);
    let again_at_once = is_of_configuration(error) && passed.is_connection_waiting();
    if again_at_once && notify::extend_start(PAUSE + PAUSE_MARGIN) {
        tokio::select! {
            () = sleep(PAUSE) => {}
            _ = stops.next() => {}
        }
    }
    code
}

/// Says once why there is no service, one cause a line.
pub fn fail(error: &(dyn Error + 'static)) -> ExitCode {
    if let Some(ConfigError::Asked(text)) = error.downcast_ref() {
        return match stdout::print("the text that was asked for", text) {
            // A reader that has gone, as in `--help | head`, has seen enough.
            Err(unprinted) if !unprinted.is_unread() => fail(&unprinted),
            _ => ExitCode::SUCCESS,
        };
    }
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(source) = cause {
        causes.push(format!("\n  because: {source}"));
        cause = source.source();
    }
    let text = format!("{error}{}", causes.concat());
    let refused = is_of_configuration(error);
    notify::last_status(&if refused {
        format!("configuration refused: {error}")
    } else {
        error.to_string()
    });
    say(&text, refused);
    ExitCode::from(if refused { EX_CONFIG } else { 1 })
}

fn is_of_configuration(error: &(dyn Error + 'static)) -> bool {
    match error.downcast_ref() {
        Some(ConfigError::Asked(_)) => false,
        Some(_) => true,
        None => error
            .downcast_ref()
            .is_some_and(ActivationError::is_configuration),
    }
}

/// To the journal as an entry with an id, or to standard error.
fn say(text: &str, of_configuration: bool) {
    let said = telemetry::last_words(|| {
        if of_configuration {
            tracing::error!(name: "configuration refused", { error = text }, "configuration refused");
        } else {
            tracing::error!(error = text, "service failed");
        }
    });
    if said.is_err() {
        // Without a thread that waits for a reader, this one does; without standard error there is nobody left to tell.
        let _ = writeln!(io::stderr(), "exp-rkt-grpc: {text}");
    }
}
