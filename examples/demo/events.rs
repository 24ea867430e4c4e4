//! Log lines, traces and signals, in the order they come.

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

/// How long the agent waits for a datagram before it waits again.
const AGENT_WAIT: Duration = Duration::from_secs(3600);

/// What can be heard.
#[derive(Debug)]
pub(super) enum Event {
    /// The service has written a line to its standard error.
    Line(String),
    /// The service can write nothing more: it has ended.
    Silence,
    /// A trace has reached the agent.
    Traced(Trace),
    /// What has reached the agent is not a trace, and why.
    NoTrace(String),
    /// A signal has reached the demo.
    Signalled(Signal),
}

/// Everything heard, from all sources.
#[derive(Debug)]
pub(super) struct Events {
    heard: Receiver<Event>,
    sender: Sender<Event>,
}

impl Events {
    /// Nothing is heard yet.
    pub(super) fn new() -> Self {
        let (sender, heard) = mpsc::channel();
        Self { heard, sender }
    }

    /// Catches what a terminal sends, and what ends programs.
    pub(super) fn hear_signals(&self) -> Step {
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(Break::because("signals cannot be caught"))?;
        for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
            self.hear_signal(&runtime, signal)?;
        }
        thread::spawn(move || runtime.block_on(pending::<()>()));
        Ok(())
    }

    fn hear_signal(&self, runtime: &Runtime, signal: Signal) -> Step {
        let _within = runtime.enter();
        let mut caught = unix::signal(SignalKind::from_raw(signal.as_raw()))
            .map_err(Break::because("signals cannot be caught"))?;
        let sender = self.sender.clone();
        runtime.spawn(async move {
            while caught.recv().await.is_some() {
                tell(&sender, Event::Signalled(signal));
            }
        });
        Ok(())
    }

    /// Hears what the service writes, until it ends.
    pub(super) fn hear_lines(&self, stderr: impl Read + Send + 'static) {
        let sender = self.sender.clone();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                tell(&sender, Event::Line(line));
            }
            tell(&sender, Event::Silence);
        });
    }

    /// Hears what reaches the agent.
    pub(super) fn hear_traces(&self, agent: JaegerAgent) {
        let sender = self.sender.clone();
        thread::spawn(move || {
            loop {
                if let Some(batch) = agent.next_batch(AGENT_WAIT) {
                    tell(&sender, traced(batch));
                }
            }
        });
    }

    /// The next event, however long it takes.
    pub(super) fn next(&self) -> Step<Event> {
        self.heard
            .recv()
            .map_err(Break::because("nothing can be heard"))
    }

    /// The next event, or `None` when none comes until then.
    pub(super) fn next_until(&self, deadline: Instant) -> Step<Option<Event>> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.heard.recv_timeout(left) {
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(error) => Err(Break::because("nothing can be heard")(error)),
        }
    }
}

fn traced(batch: Result<Batch, DecodeError>) -> Event {
    match batch.map(Trace::from_batch) {
        Ok(Some(trace)) => Event::Traced(trace),
        Ok(None) => Event::NoTrace("a batch of several traces, or of none".to_owned()),
        Err(error) => Event::NoTrace(error.to_string()),
    }
}

/// When the demo is over nobody listens any more, and nothing is lost by that.
fn tell(sender: &Sender<Event>, event: Event) {
    let _ = sender.send(event);
}
