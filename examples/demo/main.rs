//! Shows the service at work, with everything embedded: a store, the real service, a query, its metrics and its trace.
//!
//! `make demo` builds the service and runs this. In a terminal it keeps running until ctrl-c; without a terminal it ends after
//! its steps. It exits with an error message if a step does not show the expected result.
//!
//! With `--jaeger` (`make demo JAEGER=1`), a real Jaeger receives the traces.
//!
//! | module | contents |
//! | --- | --- |
//! | `stage` | all components of the demo, and their events |
//! | `jaeger` | a real Jaeger in place of the embedded receiver |
//! | `store` | the store, which can be stopped and started again |
//! | `places` | the addresses: well-known ports if they are free |
//! | `service` | the service as a child process |
//! | `events` | log lines, traces and signals, in the order of their arrival |
//! | `metrics` | the result of a scrape |
//! | `screen` | the layout of the output |

mod events;
mod jaeger;
mod metrics;
mod places;
mod screen;
mod service;
mod stage;
mod store;

use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use lab::service::Signal;
use thiserror::Error;

use metrics::{OUTCOME, SUBJECT};
use stage::Stage;

/// The spans that the trace of a query must have.
const SPANS: [&str; 3] = [
    "imagestore query",
    "v1alpha.PublicAPI/ListImages",
    "connect",
];

/// Why the demo ends before its last step.
#[derive(Debug, Error)]
enum Break {
    /// The user stopped it, which is not a failure.
    #[error("stopped by {0:?}")]
    Stopped(Signal),
    /// A step failed or did not show the expected result.
    #[error("{0}")]
    Failed(String),
}

impl Break {
    /// For `map_err`: describes what failed, and adds the error.
    fn because<E: Display>(what: &str) -> impl FnOnce(E) -> Self {
        move |error| Self::Failed(format!("{what}: {error}"))
    }
}

type Step<T = ()> = Result<T, Break>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("demo: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Leaves no process behind, however it ends.
fn run() -> Step {
    let mut stage = Stage::set(traces()?)?;
    let signal = match run_steps(&mut stage) {
        Ok(()) => Signal::TERM,
        Err(Break::Stopped(signal)) => signal,
        Err(reason) => return Err(reason),
    };
    stage.clear(signal)
}

/// Who receives the traces.
#[derive(Clone, Copy, Debug)]
enum Traces {
    Embedded,
    Jaeger,
}

fn traces() -> Step<Traces> {
    match &env::args().skip(1).collect::<Vec<_>>()[..] {
        [] => Ok(Traces::Embedded),
        [only] if only == "--jaeger" => Ok(Traces::Jaeger),
        other => Err(Break::Failed(format!(
            "unknown arguments {other:?}: only --jaeger is possible"
        ))),
    }
}

fn run_steps(stage: &mut Stage) -> Step {
    stage.wait_until_ready()?;
    show_nothing_measured(stage)?;
    query(stage)?;
    fail(stage)?;
    recover(stage)?;
    if io::stdin().is_terminal() {
        keep_running(stage)?;
    }
    Ok(())
}

fn show_nothing_measured(stage: &mut Stage) -> Step {
    stage.screen.step("Metrics before the first query")?;
    let scrape = stage.show_metrics(SUBJECT)?;
    expect(
        scrape.store("imagestore_images").is_none() && scrape.store("imagestore_up").is_none(),
        "imagestore_images or imagestore_up is present before the first query",
    )?;
    stage
        .screen
        .print("imagestore_images is absent: a value that was never measured is not 0.")
}

fn query(stage: &mut Stage) -> Step {
    stage.screen.step("Query the store: SIGQUIT")?;
    stage
        .screen
        .print("Under systemd: systemctl kill -s SIGQUIT exp-rkt-grpc")?;
    let trace = stage.query()?;

    stage.screen.step("The trace of that query")?;
    stage
        .screen
        .print("Columns: span, start offset, duration, attributes.")?;
    stage.screen.show(&trace.render())?;
    for name in SPANS {
        expect(
            trace.spans_named(name).len() == 1,
            &format!("the trace does not have exactly one span {name:?}"),
        )?;
    }

    stage.screen.step("Metrics after the query")?;
    let scrape = stage.show_metrics(SUBJECT)?;
    expect(
        scrape.store("imagestore_images") == Some(stage.images()),
        "imagestore_images is not the number of images in the store",
    )?;
    expect(
        scrape.store("imagestore_up") == Some(1.0),
        "imagestore_up is not 1 after a successful query",
    )
}

fn fail(stage: &mut Stage) -> Step {
    stage
        .screen
        .step("A failure: the store refuses connections")?;
    stage
        .screen
        .print("The stand-in stops listening. A second query:")?;
    stage.stop_store();
    let trace = stage.query()?;
    stage.screen.show(&trace.render())?;
    expect(
        trace
            .spans_named(SPANS[0])
            .iter()
            .any(|root| root.is_error()),
        "the trace of the failed query has no error",
    )?;

    let scrape = stage.show_metrics(OUTCOME)?;
    expect(
        scrape.store("imagestore_up") == Some(0.0),
        "imagestore_up is not 0 after a failed query",
    )?;
    expect(
        scrape.store("imagestore_images") == Some(stage.images()),
        "the failed query has changed imagestore_images",
    )?;
    stage
        .screen
        .print("imagestore_up is 0. The last good numbers stay; last_success shows their age.")
}

fn recover(stage: &mut Stage) -> Step {
    stage.screen.step("The store is back")?;
    stage
        .screen
        .print("Nothing has to be restarted: the next query opens a new connection.")?;
    stage.start_store()?;
    stage.query()?;
    let scrape = stage.show_metrics(OUTCOME)?;
    expect(
        scrape.store("imagestore_up") == Some(1.0),
        "imagestore_up is not 1, although the store is back",
    )
}

fn keep_running(stage: &mut Stage) -> Step {
    stage.screen.step("Your turn")?;
    stage
        .screen
        .print("Run these commands in another terminal. Log lines and traces appear here. ctrl-c stops the demo.")?;
    stage.show_commands()?;
    stage.follow()
}

fn expect(holds: bool, failure: &str) -> Step {
    if holds {
        return Ok(());
    }
    Err(Break::Failed(failure.to_owned()))
}
