//! All components of the demo, and their events.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lab::jaeger_agent::Trace;
use lab::service::Signal;

use crate::events::{Event, Events};
use crate::jaeger::Receiver;
use crate::metrics::Metrics;
use crate::places::{self, MetricsPort};
use crate::screen::Screen;
use crate::service::{Service, Settings};
use crate::store::Store;
use crate::{Break, Step, Traces};

/// Timeout of every wait; longer than the service takes to drain.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// All components of the demo. Dropping it stops them.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) screen: Screen,
    store: Store,
    metrics: MetricsPort,
    events: Events,
    service: Service,
    /// If it receives the traces.
    jaeger: Option<Receiver>,
}

impl Stage {
    /// Starts and introduces all components, the service last.
    pub(super) fn set(traces: Traces) -> Step<Self> {
        let mut screen = Screen::new();
        let events = Events::new();
        events.watch_signals()?;

        screen.print("exp-rkt-grpc counts the images in a container image store on request.")?;
        screen.step("A store to query, and a receiver for traces")?;
        let store = open_store(&mut screen)?;
        let jaeger = match traces {
            Traces::Embedded => None,
            Traces::Jaeger => Some(Receiver::find()?),
        };
        let exporter = match &jaeger {
            None => open_agent(&mut screen, &events)?,
            Some(jaeger) => {
                screen.print(&jaeger.description())?;
                jaeger.settings()
            }
        };

        screen.step("The service")?;
        let metrics = MetricsPort::choose();
        screen.print(&format!(
            "It serves metrics at {} and waits for signals. It makes no query by itself.",
            places::described(metrics.address(), places::METRICS)
        ))?;
        screen.print("Under systemd: systemctl start exp-rkt-grpc")?;
        let settings = settings(store.address(), exporter, &metrics);
        screen.command(&settings.command())?;
        let (service, stderr) = Service::start(&settings)?;
        events.watch_lines(stderr);
        Ok(Self {
            screen,
            store,
            metrics,
            events,
            service,
            jaeger,
        })
    }

    /// Waits for the line that the service logs when it is ready.
    pub(super) fn wait_until_ready(&mut self) -> Step {
        self.wait_for("the service to be ready", |event| match event {
            Event::Line(line) if line.contains("serving metrics") => Some(()),
            _ => None,
        })
    }

    /// Triggers a query, and waits for its trace and its log line.
    pub(super) fn query(&mut self) -> Step<Trace> {
        self.screen.command(&self.trigger())?;
        self.service.signal(Signal::QUIT)?;
        let mut early: Option<Trace> = None;
        let id = self.wait_for("the query's log line", |event| match event {
            Event::Line(line) => trace_id(line).map(str::to_owned),
            Event::Traced(trace) => {
                early = Some(trace.clone());
                None
            }
            _ => None,
        })?;
        if let Some(jaeger) = &self.jaeger {
            let trace = jaeger.wait_for(&id)?;
            let address = jaeger.address_of(&id);
            self.screen.print(&format!("In Jaeger: {address}"))?;
            return Ok(trace);
        }
        match early {
            Some(trace) => Ok(trace),
            None => self.wait_for("the query's trace", |event| match event {
                Event::Traced(trace) => Some(trace.clone()),
                _ => None,
            }),
        }
    }

    /// Scrapes, and shows the lines of these metrics.
    pub(super) fn show_metrics(&mut self, names: &[&str]) -> Step<Metrics> {
        self.screen
            .command(&format!("{}   # excerpt", self.curl()))?;
        let metrics = Metrics::scrape(self.metrics.address())?;
        self.screen.show(&metrics.excerpt(names))?;
        Ok(metrics)
    }

    /// Shows the commands to use while the demo keeps running.
    pub(super) fn show_commands(&mut self) -> Step {
        self.screen.command(&self.curl())?;
        self.screen.command(&self.trigger())
    }

    /// Shows log lines and traces as they arrive, until a signal stops the demo. Passes SIGQUIT on to the service.
    pub(super) fn follow(&mut self) -> Step {
        loop {
            match self.events.next()? {
                Event::Line(line) => {
                    self.screen.print(&line)?;
                    if let (Some(jaeger), Some(id)) = (&self.jaeger, trace_id(&line)) {
                        let address = jaeger.address_of(id);
                        self.screen.print(&format!("In Jaeger: {address}"))?;
                    }
                }
                Event::Traced(trace) => self.screen.show(&trace.render())?,
                Event::NotATrace(why) => self.screen.print(&format!("Not a trace: {why}"))?,
                Event::StderrClosed => return Err(self.ended()),
                Event::Signalled(Signal::QUIT) => self.service.signal(Signal::QUIT)?,
                Event::Signalled(signal) => return Err(Break::Stopped(signal)),
            }
        }
    }

    /// Passes the signal on to the service and waits until it has drained and ended. Fails if its exit status is not 0.
    pub(super) fn clear(mut self, signal: Signal) -> Step {
        self.screen.step("The end")?;
        self.service.signal(signal)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.events.next_until(deadline)? {
                Some(Event::Line(line)) => self.screen.print(&line)?,
                Some(Event::StderrClosed) => break,
                Some(Event::Signalled(again)) => self.service.signal(again)?,
                Some(Event::Traced(_) | Event::NotATrace(_)) => {}
                None => return Err(timed_out("the service to end")),
            }
        }
        let status = self.service.wait()?;
        if !status.success() {
            return Err(Break::Failed(format!(
                "the service was asked to stop and ended with {status}"
            )));
        }
        self.screen.print(&format!(
            "The service has ended with {status}. Nothing is left running."
        ))
    }

    /// Closes the store's listener and connections, so that it refuses new connections.
    pub(super) fn stop_store(&mut self) {
        self.store.stop();
    }

    /// Makes the store listen again on its old address.
    pub(super) fn start_store(&mut self) -> Step {
        self.store.start()
    }

    /// The number of images in the store, as a metric's value.
    pub(super) fn images(&self) -> f64 {
        self.store.count() as f64
    }

    /// Waits for the first event from which `find` returns a value. Shows log lines as they arrive.
    fn wait_for<T>(&mut self, what: &str, mut find: impl FnMut(&Event) -> Option<T>) -> Step<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Some(event) = self.events.next_until(deadline)? else {
                return Err(timed_out(what));
            };
            let found = find(&event);
            match event {
                Event::Line(line) => self.screen.print(&line)?,
                Event::NotATrace(why) => {
                    let failure =
                        format!("the agent received a datagram that is not a trace: {why}");
                    return Err(Break::Failed(failure));
                }
                Event::StderrClosed => return Err(self.ended()),
                Event::Traced(_) | Event::Signalled(Signal::QUIT) => {}
                Event::Signalled(signal) => return Err(Break::Stopped(signal)),
            }
            if let Some(found) = found {
                return Ok(found);
            }
        }
    }

    fn ended(&mut self) -> Break {
        Break::Failed(match self.service.wait() {
            Ok(status) => format!("the service has ended unexpectedly with {status}"),
            Err(reason) => reason.to_string(),
        })
    }

    fn trigger(&self) -> String {
        format!("kill -s SIGQUIT {}", self.service.pid())
    }

    fn curl(&self) -> String {
        format!("curl http://{}/metrics", self.metrics.address())
    }
}

fn open_store(screen: &mut Screen) -> Step<Store> {
    let store = Store::open()?;
    screen.print(&format!(
        "A stand-in for rkt's api-service with {} sample images listens on {}.",
        store.count(),
        places::described(store.address(), places::STORE)
    ))?;
    Ok(store)
}

/// Returns the settings that send traces to it.
fn open_agent(screen: &mut Screen, events: &Events) -> Step<Vec<(&'static str, String)>> {
    let agent = places::agent()?;
    let address = agent.address();
    events.watch_traces(agent);
    screen.print(&format!(
        "A stand-in for a Jaeger agent receives traces on UDP {}.",
        places::described(address, places::AGENT)
    ))?;
    let port = (
        "OTEL_EXPORTER_JAEGER_AGENT_PORT",
        address.port().to_string(),
    );
    Ok(match address == places::AGENT {
        true => Vec::new(),
        false => vec![port],
    })
}

/// The settings that differ from the service's defaults.
fn settings(
    store: SocketAddr,
    environment: Vec<(&'static str, String)>,
    metrics: &MetricsPort,
) -> Settings {
    let mut arguments = Vec::new();
    if store != places::STORE {
        arguments.push(format!("--store=rkt+http://{store}"));
    }
    if metrics.address() != places::METRICS {
        arguments.push(format!("--listen={}", metrics.address()));
    }
    Settings {
        arguments,
        environment,
    }
}

/// The id of the trace that a log line belongs to.
fn trace_id(line: &str) -> Option<&str> {
    let (_, id) = line.split_once("trace_id=")?;
    id.split_whitespace().next()
}

fn timed_out(what: &str) -> Break {
    Break::Failed(format!("waited {PATIENCE:?} for {what}"))
}
