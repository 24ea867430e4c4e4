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

/// Asks the stores once, prints what they answer, and delivers the trace. A signal interrupts that.
///
/// # Errors
///
/// When standard output does not take the result.
pub async fn run(
    mut observer: Observer,
    mut telemetry: Telemetry,
    output: Output,
    mut signals: Signals,
) -> Result<ExitCode, Unprinted> {
    let (event, interrupted) = ask_once(&mut observer, &mut signals).await;
    let print = |text: String| stdout::print("the result of the query", &text);
    // A table is there at once; JSON also says whether the trace was delivered.
    let (printed, delivery) = match (interrupted, output) {
        (Some(_), _) => (Ok(()), deliver(&mut telemetry, &mut signals).await),
        (None, Output::Table) => {
            let printed = print(output::table(&event));
            (printed, deliver(&mut telemetry, &mut signals).await)
        }
        (None, Output::Json) => {
            let delivery = deliver(&mut telemetry, &mut signals).await;
            (print(output::json(&event, &delivery)), delivery)
        }
    };
    // The log comes first.
    drop(telemetry);
    let complaints = [
        interrupted.map(|signal| output::interrupted(signal, &event)),
        delivery.as_ref().err().map(output::undelivered),
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
