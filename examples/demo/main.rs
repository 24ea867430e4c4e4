//! The main job with everything embedded: a store, the real service, a trigger, its metrics and its trace.
//!
//! `make demo` builds the service and runs this. In a terminal it keeps running until ctrl-c; without one it ends after
//! its steps. It fails, with a sentence, when a step does not show what it is there to show.
//!
//! | module | what it is |
//! | --- | --- |
//! | `stage` | all that takes part, and what is heard from it |
//! | `store` | the store that is asked, which can go away and come back |
//! | `places` | where they listen: the well-known ports when they are free |
//! | `service` | the service as a child process |
//! | `events` | log lines, traces and signals, in the order they come |
//! | `metrics` | what a scrape says |
//! | `screen` | how it looks |

mod events;
mod metrics;
mod places;
mod screen;
mod service;
mod stage;
mod store;

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use lab::service::Signal;
use thiserror::Error;

use metrics::{OUTCOME, SUBJECT};
use stage::Stage;

/// The spans of one query, as the trace must show them.
const SPANS: [&str; 3] = [
    "imagestore query",
    "v1alpha.PublicAPI/ListImages",
    "connect",
];

/// Why the story is not told to its end.
#[derive(Debug, Error)]
enum Break {
    /// Somebody has seen enough, which is no failure.
    #[error("stopped by {0:?}")]
    Asked(Signal),
    /// A step did not show what it is there to show.
    #[error("{0}")]
    Failed(String),
}

impl Break {
    /// For `map_err`: the act that failed, and why.
    fn because<E: Display>(act: &str) -> impl FnOnce(E) -> Self {
        move |error| Self::Failed(format!("{act}: {error}"))
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

/// However it ends, nothing of the stage is left behind.
fn run() -> Step {
    let mut stage = Stage::set()?;
    let signal = match tell(&mut stage) {
        Ok(()) => Signal::TERM,
        Err(Break::Asked(signal)) => signal,
        Err(reason) => return Err(reason),
    };
    stage.clear(signal)
}

fn tell(stage: &mut Stage) -> Step {
    stage.wait_until_ready()?;
    nothing_measured_yet(stage)?;
    ask(stage)?;
    fail(stage)?;
    recover(stage)?;
    if io::stdin().is_terminal() {
        keep_running(stage)?;
    }
    Ok(())
}

fn nothing_measured_yet(stage: &mut Stage) -> Step {
    stage.screen.step("Metrics before the first query")?;
    let scrape = stage.show_metrics(SUBJECT)?;
    expect(
        scrape.store("imagestore_images").is_none() && scrape.store("imagestore_up").is_none(),
        "imagestore_images or imagestore_up is there before anything was asked",
    )?;
    stage
        .screen
        .say("imagestore_images is absent: what was never measured is not 0.")
}

fn ask(stage: &mut Stage) -> Step {
    stage.screen.step("Ask the store: SIGQUIT")?;
    stage
        .screen
        .say("Under systemd: systemctl kill -s SIGQUIT exp-rkt-grpc")?;
    let trace = stage.query()?;

    stage
        .screen
        .step("The trace of that query, as it arrived")?;
    stage
        .screen
        .say("Columns: span, when it began, how long it took, what is known about it.")?;
    stage.screen.show(&trace.render())?;
    for name in SPANS {
        expect(
            trace.spans_named(name).len() == 1,
            &format!("the trace has not one span {name:?}"),
        )?;
    }

    stage.screen.step("Metrics after it")?;
    let scrape = stage.show_metrics(SUBJECT)?;
    expect(
        scrape.store("imagestore_images") == Some(stage.images()),
        "imagestore_images is not what the store holds",
    )?;
    expect(
        scrape.store("imagestore_up") == Some(1.0),
        "imagestore_up is not 1 after a good answer",
    )
}

fn fail(stage: &mut Stage) -> Step {
    stage.screen.step("A failure: the store refuses")?;
    stage
        .screen
        .say("The stand-in stops listening. A second trigger:")?;
    stage.stop_store();
    let trace = stage.query()?;
    stage.screen.show(&trace.render())?;
    expect(
        trace
            .spans_named(SPANS[0])
            .iter()
            .any(|root| root.is_error()),
        "the trace of the failed query tells of no error",
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
        .say("imagestore_up is 0; the last good numbers stay, and last_success tells their age.")
}

fn recover(stage: &mut Stage) -> Step {
    stage.screen.step("The store is back")?;
    stage
        .screen
        .say("Nothing has to be restarted: the next trigger tries afresh.")?;
    stage.start_store()?;
    stage.query()?;
    let scrape = stage.show_metrics(OUTCOME)?;
    expect(
        scrape.store("imagestore_up") == Some(1.0),
        "imagestore_up is not 1 although the store is back",
    )
}

fn keep_running(stage: &mut Stage) -> Step {
    stage.screen.step("Your turn")?;
    stage
        .screen
        .say("In another terminal; log lines and traces appear here. ctrl-c ends.")?;
    stage.show_commands()?;
    stage.follow()
}

fn expect(shown: bool, otherwise: &str) -> Step {
    if shown {
        return Ok(());
    }
    Err(Break::Failed(otherwise.to_owned()))
}
