//! All metric families: name, HELP, and the methods that update them.
//!
//! Independent of gRPC and HTTP. Names, units and labels follow <https://prometheus.io/docs/practices/naming/>.

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, Result, core::Collector};

mod encoding;
mod exemplars;
mod families;
mod gauges;
mod gzip;
mod openmetrics;
mod record;
mod run;
mod store;
mod stores;

pub use encoding::{Coding, Format};
pub(crate) use record::Kept;
pub(crate) use run::Run;
pub(crate) use store::{LastQueries, Query, StoreMetrics};

use encoding::Text;
use gzip::Piece;
use stores::Stores;

/// All families. Copies share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Families that rarely change.
    stores: Stores,
    /// Families that change from scrape to scrape, or while a text is encoded.
    live: Registry,
    triggers: IntCounterVec,
    traces: IntCounterVec,
    http_requests: IntCounterVec,
    log_lines_dropped: IntCounter,
    run: Run,
}

/// What triggered a query; the label `trigger`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// SIGQUIT.
    Signal,
    /// `--query-at-start`.
    Startup,
    /// `exp-rkt-grpc query`; no metrics are served then.
    Command,
}

impl Trigger {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Startup => "startup",
            Self::Command => "command",
        }
    }
}

/// The outcome of a finished trace; the label `outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TraceOutcome {
    /// The exporter delivered it.
    Exported,
    /// The exporter could not deliver it.
    Failed,
    /// It was not passed to the exporter: too many were waiting.
    Dropped,
}

impl TraceOutcome {
    const ALL: [Self; 3] = [Self::Exported, Self::Failed, Self::Dropped];

    fn as_str(self) -> &'static str {
        match self {
            Self::Exported => "exported",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

impl Metrics {
    /// Registers every family. Counters start at 0; gauges, and the series of HTTP requests, appear with their first value.
    ///
    /// # Errors
    ///
    /// Never in practice: all names are distinct constants.
    pub fn new(version: &str, revision: &str) -> Result<Self> {
        let (stores, live) = (Stores::new()?, Registry::new());
        let metrics = Self {
            triggers: counter(
                stores.registry(),
                "exp_rkt_grpc_triggers_total",
                "Queries started, by trigger; signals that arrive during a query cause one more query after it.",
                &["trigger"],
            )?,
            traces: counter(
                stores.registry(),
                "exp_rkt_grpc_traces_total",
                "Finished traces by outcome: exported (sent; UDP does not confirm delivery), failed, or dropped (too many were waiting).",
                &["outcome"],
            )?,
            http_requests: counter(
                &live,
                "exp_rkt_grpc_http_requests_total",
                "HTTP requests answered, by path (other for unknown ones) and status code.",
                &["path", "code"],
            )?,
            log_lines_dropped: IntCounter::new(
                "exp_rkt_grpc_log_lines_dropped_total",
                "Log lines lost because the journal or standard error did not take them.",
            )?,
            run: Run::begin(IntCounter::new(
                "exp_rkt_grpc_unexpected_ends_total",
                "Times the service ended without being asked to (crash, kill -9, watchdog) and was started again; kept over restarts, 0 after systemctl stop.",
            )?),
            stores,
            live,
        };
        for trigger in [Trigger::Signal, Trigger::Startup] {
            metrics.triggers.with_label_values(&[trigger.as_str()]);
        }
        for outcome in TraceOutcome::ALL {
            metrics.traces.with_label_values(&[outcome.as_str()]);
        }
        metrics.register(metrics.log_lines_dropped.clone())?;
        metrics.register(metrics.run.total().clone())?;
        let build_info = build_info(version, revision)?;
        metrics.stores.registry().register(Box::new(build_info))?;
        Ok(metrics)
    }

    /// Adds an external collector, for example the one of the process.
    ///
    /// # Errors
    ///
    /// When a family of that name is already registered.
    pub fn register(&self, collector: impl Collector + 'static) -> Result<()> {
        self.live.register(Box::new(collector))
    }

    /// The metrics of one store, by its configured name, its kind and its address.
    pub(crate) fn store(&self, name: &str, kind: &str, address: &str) -> StoreMetrics {
        self.stores.add(name, kind, address);
        StoreMetrics::new(name, format!("{kind}+{address}"), self.stores.clone())
    }

    pub(crate) fn run(&self) -> &Run {
        &self.run
    }

    pub(crate) fn triggered(&self, trigger: Trigger) {
        self.triggers.with_label_values(&[trigger.as_str()]).inc();
        self.stores.outdate();
    }

    pub(crate) fn trace_ended(&self, outcome: TraceOutcome) {
        self.traces.with_label_values(&[outcome.as_str()]).inc();
        self.stores.outdate();
    }

    /// Traces that failed or were dropped.
    pub(crate) fn traces_lost(&self) -> u64 {
        let lost = [TraceOutcome::Failed, TraceOutcome::Dropped];
        let counters = lost.map(|outcome| self.traces.with_label_values(&[outcome.as_str()]).get());
        counters.iter().sum()
    }

    /// Counts an answered request for `path`, one of a fixed set, with the status `code`.
    pub(crate) fn http_request(&self, path: &'static str, code: &str) {
        self.http_requests.with_label_values(&[path, code]).inc();
    }

    pub(crate) fn log_line_dropped(&self) {
        self.log_lines_dropped.inc();
    }

    /// All families.
    ///
    /// # Errors
    ///
    /// If a registered family has a type or a name that OpenMetrics does not have.
    pub fn encode(&self, format: Format, coding: Coding) -> Result<Vec<u8>> {
        let mut live = Text::encode(&self.live, format, None)?;
        live.extend(format.end());
        let live = live.plain();
        match coding {
            Coding::Identity => self
                .stores
                .text(format, |stores| [stores.plain(), live].concat()),
            Coding::Gzip => {
                let live = Piece::store(live);
                self.stores
                    .text(format, |stores| gzip::file(&[stores.compressed(), &live]))
            }
        }
    }

    /// All families in the text format.
    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        let text = self.encode(Format::Text, Coding::Identity);
        String::from_utf8(text.expect("every family has a sample")).expect("it is UTF-8")
    }
}

fn build_info(version: &str, revision: &str) -> Result<IntGaugeVec> {
    let family = IntGaugeVec::new(
        Opts::new(
            "exp_rkt_grpc_build_info",
            "Always 1: version of the program, and git revision that it was built from.",
        ),
        &["version", "revision"],
    )?;
    family.with_label_values(&[version, revision]).set(1);
    Ok(family)
}

fn counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
    let family = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}
