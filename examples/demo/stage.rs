//! All that takes part, and what is heard from it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lab::jaeger_agent::Trace;
use lab::service::Signal;

use crate::events::{Event, Events};
use crate::metrics::Metrics;
use crate::places::{self, MetricsPort};
use crate::screen::Screen;
use crate::service::{Service, Settings};
use crate::store::Store;
use crate::{Break, Step};

/// How long to wait for anything before giving it up as lost; longer than the service takes to drain.
const PATIENCE: Duration = Duration::from_secs(15);

/// Everything that takes part. Dropping it ends it all.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) screen: Screen,
    store: Store,
    metrics: MetricsPort,
    events: Events,
    service: Service,
}

impl Stage {
    /// Introduces everything that takes part, and starts the service last.
    pub(super) fn set() -> Step<Self> {
        let mut screen = Screen::new();
        let events = Events::new();
        events.hear_signals()?;

        screen.say(
            "exp-rkt-grpc counts the images of a container image store when it is asked to.",
        )?;
        screen.step("A store to ask, and somewhere to send traces")?;
        let store = open_store(&mut screen)?;
        let agent = open_agent(&mut screen, &events)?;

        screen.step("The service")?;
        let metrics = MetricsPort::choose();
        screen.say(&format!(
            "It serves metrics at {}, waits for signals and asks nothing of its own accord.",
            places::described(metrics.address(), places::METRICS)
        ))?;
        screen.say("Under systemd: systemctl start exp-rkt-grpc")?;
        let settings = settings(store.address(), agent, &metrics);
        screen.command(&settings.command())?;
        let (service, stderr) = Service::start(&settings)?;
        events.hear_lines(stderr);
        Ok(Self {
            screen,
            store,
            metrics,
            events,
            service,
        })
    }

    /// The line that the service logs when it is ready.
    pub(super) fn wait_until_ready(&mut self) -> Step {
        self.hear("word that the service is ready", |event| match event {
            Event::Line(line) if line.contains("serving metrics") => Some(()),
            _ => None,
        })
    }

    /// Triggers, and waits for the query's trace and its log line.
    pub(super) fn query(&mut self) -> Step<Trace> {
        self.screen.command(&self.trigger())?;
        self.service.signal(Signal::QUIT)?;
        let mut lines = String::new();
        let mut trace: Option<Trace> = None;
        self.hear("a log line and the trace it belongs to", |event| {
            match event {
                Event::Line(line) => lines += line,
                Event::Traced(arrived) => trace = Some(arrived.clone()),
                _ => {}
            }
            trace.take_if(|trace| lines.contains(&trace.id_hex()))
        })
    }

    /// Scrapes, and shows the lines of these names.
    pub(super) fn show_metrics(&mut self, names: &[&str]) -> Step<Metrics> {
        self.screen
            .command(&format!("{}   # in part", self.curl()))?;
        let metrics = Metrics::scrape(self.metrics.address())?;
        self.screen.show(&metrics.excerpt(names))?;
        Ok(metrics)
    }

    /// What there is to type while the demo keeps running.
    pub(super) fn show_commands(&mut self) -> Step {
        self.screen.command(&self.curl())?;
        self.screen.command(&self.trigger())
    }

    /// Shows what comes, until a signal says stop.
    pub(super) fn follow(&mut self) -> Step {
        loop {
            match self.events.next()? {
                Event::Line(line) => self.screen.say(&line)?,
                Event::Traced(trace) => self.screen.show(&trace.render())?,
                Event::NoTrace(why) => self.screen.say(&format!("Not a trace: {why}"))?,
                Event::Silence => return Err(self.ended()),
                Event::Signalled(Signal::QUIT) => self.service.signal(Signal::QUIT)?,
                Event::Signalled(signal) => return Err(Break::Asked(signal)),
            }
        }
    }

    /// Passes the signal on to the service and waits until it has drained and ended, which must be a success.
    pub(super) fn clear(mut self, signal: Signal) -> Step {
        self.screen.step("The end")?;
        self.service.signal(signal)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.events.next_until(deadline)? {
                Some(Event::Line(line)) => self.screen.say(&line)?,
                Some(Event::Silence) => break,
                Some(Event::Signalled(impatient)) => self.service.signal(impatient)?,
                Some(Event::Traced(_) | Event::NoTrace(_)) => {}
                None => return Err(lost("the service's end")),
            }
        }
        let status = self.service.wait()?;
        if !status.success() {
            return Err(Break::Failed(format!(
                "the service was asked to stop and ended with {status}"
            )));
        }
        self.screen.say(&format!(
            "The service has ended with {status}. Nothing is left running."
        ))
    }

    /// The store's listener and connections close: from now on it refuses.
    pub(super) fn stop_store(&mut self) {
        self.store.stop();
    }

    /// The store listens again where it did.
    pub(super) fn start_store(&mut self) -> Step {
        self.store.start()
    }

    /// How many images the store holds, as a metric says it.
    pub(super) fn images(&self) -> f64 {
        self.store.count() as f64
    }

    /// What `find` makes of the first event that it knows. Log lines are shown as they come.
    fn hear<T>(&mut self, what: &str, mut find: impl FnMut(&Event) -> Option<T>) -> Step<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Some(event) = self.events.next_until(deadline)? else {
                return Err(lost(what));
            };
            let found = find(&event);
            match event {
                Event::Line(line) => self.screen.say(&line)?,
                Event::NoTrace(why) => {
                    return Err(Break::Failed(format!("the agent received no trace: {why}")));
                }
                Event::Silence => return Err(self.ended()),
                Event::Traced(_) | Event::Signalled(Signal::QUIT) => {}
                Event::Signalled(signal) => return Err(Break::Asked(signal)),
            }
            if let Some(found) = found {
                return Ok(found);
            }
        }
    }

    fn ended(&mut self) -> Break {
        Break::Failed(match self.service.wait() {
            Ok(status) => format!("the service has ended by itself with {status}"),
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
    screen.say(&format!(
        "A stand-in for rkt's api-service, with {} sample images, at {}.",
        store.count(),
        places::described(store.address(), places::STORE)
    ))?;
    Ok(store)
}

fn open_agent(screen: &mut Screen, events: &Events) -> Step<SocketAddr> {
    let agent = places::agent()?;
    let address = agent.address();
    events.hear_traces(agent);
    screen.say(&format!(
        "A receiver of traces in the place of a Jaeger agent, at UDP {}.",
        places::described(address, places::AGENT)
    ))?;
    Ok(address)
}

/// Only what differs from the defaults.
fn settings(store: SocketAddr, agent: SocketAddr, metrics: &MetricsPort) -> Settings {
    let mut settings = Settings::default();
    if agent != places::AGENT {
        let port = agent.port().to_string();
        settings
            .environment
            .push(("OTEL_EXPORTER_JAEGER_AGENT_PORT", port));
    }
    if store != places::STORE {
        settings
            .arguments
            .push(format!("--store=rkt+http://{store}"));
    }
    if metrics.address() != places::METRICS {
        settings
            .arguments
            .push(format!("--listen={}", metrics.address()));
    }
    settings
}

fn lost(what: &str) -> Break {
    Break::Failed(format!("waited {PATIENCE:?} in vain for {what}"))
}
