//! Log lines, traces and signals, in the order of their arrival.

use std::future::pending;
use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use lab::jaeger_agent::{Batch, DecodeError, JaegerAgent, Trace};
use lab::service::Signal;
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{self, SignalKind};

use crate::{Break, Step};

/// Timeout of one wait for a datagram; the agent then waits again.
const AGENT_WAIT: Duration = Duration::from_secs(3600);

/// An event of the demo.
#[derive(Debug)]
pub(super) enum Event {
    /// The service has written a line to its standard error.
    Line(String),
    /// The service has closed its standard error: it has ended.
    StderrClosed,
    /// The agent has received a trace.
    Traced(Trace),
    /// The agent has received something else, for this reason not a trace.
    NotATrace(String),
    /// The demo has received a signal.
    Signalled(Signal),
}

/// The events of all sources.
#[derive(Debug)]
pub(super) struct Events {
    receiver: Receiver<Event>,
    sender: Sender<Event>,
}

impl Events {
    /// No source is connected yet.
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::channel();
        Self { receiver, sender }
    }

    /// Catches the signals of a terminal, and SIGTERM and SIGHUP.
    pub(super) fn watch_signals(&self) -> Step {
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(Break::because("signals cannot be caught"))?;
        for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
            self.watch_signal(&runtime, signal)?;
        }
        thread::spawn(move || runtime.block_on(pending::<()>()));
        Ok(())
    }

    fn watch_signal(&self, runtime: &Runtime, signal: Signal) -> Step {
        let _entered = runtime.enter();
        let mut caught = unix::signal(SignalKind::from_raw(signal.as_raw()))
            .map_err(Break::because("signals cannot be caught"))?;
        let sender = self.sender.clone();
        runtime.spawn(async move {
            while caught.recv().await.is_some() {
                send(&sender, Event::Signalled(signal));
            }
        });
        Ok(())
    }

    /// Reads the service's standard error until the service ends.
    pub(super) fn watch_lines(&self, stderr: impl Read + Send + 'static) {
        let sender = self.sender.clone();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                send(&sender, Event::Line(line));
            }
            send(&sender, Event::StderrClosed);
        });
    }

    /// Reads what the agent receives.
    pub(super) fn watch_traces(&self, agent: JaegerAgent) {
        let sender = self.sender.clone();
        thread::spawn(move || {
            loop {
                if let Some(batch) = agent.next_batch(AGENT_WAIT) {
                    send(&sender, traced(batch));
                }
            }
        });
    }

    /// The next event, however long it takes.
    pub(super) fn next(&self) -> Step<Event> {
        self.receiver
            .recv()
            .map_err(Break::because("no event can arrive"))
    }

    /// The next event, or `None` if none arrives before the deadline.
    pub(super) fn next_until(&self, deadline: Instant) -> Step<Option<Event>> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.receiver.recv_timeout(left) {
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(error) => Err(Break::because("no event can arrive")(error)),
        }
    }
}

fn traced(batch: Result<Batch, DecodeError>) -> Event {
    match batch.map(Trace::from_batch) {
        Ok(Some(trace)) => Event::Traced(trace),
        Ok(None) => {
            Event::NotATrace("the batch has the spans of several traces, or none".to_owned())
        }
        Err(error) => Event::NotATrace(error.to_string()),
    }
}

/// Sending fails only when the demo is over, and then the event is not needed.
fn send(sender: &Sender<Event>, event: Event) {
    let _ = sender.send(event);
}
