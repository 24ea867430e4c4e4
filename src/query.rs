//! One query from the command line.

use std::{
    io::{self, Write},
    pin::pin,
    process::ExitCode,
};

use tokio_util::sync::CancellationToken;

use crate::{
    config::Output,
    observe::{Event, Observer, Trigger},
    signals::Signals,
    stdout::{self, Unprinted},
    telemetry::{Telemetry, Undelivered},
};

mod output;

/// Queries the stores once, prints their answers, and delivers the trace. A signal ends it early.
///
/// # Errors
///
/// When the result cannot be written to standard output.
pub async fn run(
    mut observer: Observer,
    mut telemetry: Telemetry,
    output: Output,
    mut signals: Signals,
) -> Result<ExitCode, Unprinted> {
    let (event, interrupted) = ask_once(&mut observer, &mut signals).await;
    // A table is printed at once; JSON also reports whether the trace was delivered.
    let (printed, delivery) = match (interrupted, output) {
        (Some(_), _) => (Ok(()), deliver(&mut telemetry, &mut signals).await),
        (None, Output::Table) => {
            let printed = print(output::table(&event), &mut signals).await;
            (printed, deliver(&mut telemetry, &mut signals).await)
        }
        (None, Output::Json) => {
            let delivery = deliver(&mut telemetry, &mut signals).await;
            let printed = print(output::json(&event, &delivery), &mut signals).await;
            (printed, delivery)
        }
    };
    // Writes the rest of the log before the messages below.
    drop(telemetry);
    let mut messages: Vec<String> = match interrupted {
        Some(signal) => vec![output::interrupted(signal, &event)],
        None => output::warnings(&event).collect(),
    };
    messages.extend(delivery.as_ref().err().map(output::undelivered));
    for message in messages {
        // If standard error fails, nothing can be reported.
        let _ = writeln!(io::stderr(), "{message}");
    }
    printed?;
    Ok(match (event.failures(), delivery) {
        (Some(_), _) | (_, Err(Undelivered::Interrupted(_))) => ExitCode::FAILURE,
        (None, _) => ExitCode::SUCCESS,
    })
}

/// Runs one event, and returns the signal that ended it early, if any.
async fn ask_once(observer: &mut Observer, signals: &mut Signals) -> (Event, Option<&'static str>) {
    let abandoned = CancellationToken::new();
    let mut event = pin!(observer.observe(Trigger::Command, abandoned.clone()));
    let signal = tokio::select! {
        event = event.as_mut() => return (event, None),
        signal = signals.interrupt() => signal,
    };
    abandoned.cancel();
    // It ends at once, and may have completed before it was cancelled.
    let event = event.await;
    let interrupted = event.was_abandoned().then_some(signal);
    (event, interrupted)
}

/// Prints the result, until a signal ends the wait.
async fn print(result: String, signals: &mut Signals) -> Result<(), Unprinted> {
    stdout::print("the result of the query", result, signals.interrupt()).await
}

/// Delivers the trace, until a signal ends the wait.
async fn deliver(telemetry: &mut Telemetry, signals: &mut Signals) -> Result<(), Undelivered> {
    tokio::select! {
        delivery = telemetry.flush() => delivery,
        signal = signals.interrupt() => Err(Undelivered::Interrupted(signal)),
    }
}
