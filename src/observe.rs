//! One event: a trace, the concurrent queries of all stores, and the report of their results.

use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use opentelemetry::trace::TraceContextExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{
    answer::{Answer, QueryError},
    images::{Connection, ImageStore, Limit},
    metrics::{Kept, Metrics, Query, StoreMetrics},
    status::{EndedEvent, EndedQuery, Status},
    words::counted,
};

mod known;

pub use crate::metrics::Trigger;

/// Queries the stores and reports the results.
#[derive(Debug)]
pub struct Observer {
    stores: Vec<ObservedStore>,
    metrics: Metrics,
    status: Status,
    deadline: Duration,
}

#[derive(Debug)]
struct ObservedStore {
    store: ImageStore,
    metrics: StoreMetrics,
    status: Status,
}

/// The result of an event.
#[derive(Debug)]
pub struct Event {
    /// The trace id in hexadecimal; `None` if tracing is off or the trace is not sampled.
    pub(crate) trace_id: Option<String>,
    /// In the order of the configuration.
    pub(crate) outcomes: Vec<Outcome>,
}

/// The result of one query.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The store's name.
    pub(crate) store: String,
    /// From connecting to the last byte of the list, or to the failure.
    pub(crate) duration: Duration,
    /// The answer, or why there is none.
    pub(crate) answer: Result<Answer, QueryError>,
}

impl Observer {
    /// An observer of `stores`, which queries all of them within `deadline`.
    pub fn new(stores: Vec<ImageStore>, metrics: Metrics, deadline: Duration) -> Self {
        let status = Status::new(metrics.clone());
        let stores = stores
            .into_iter()
            .map(|store| {
                let config = store.config();
                let address = config.address.to_string();
                let metrics = metrics.store(&config.name, config.kind.name, &address);
                status.add(&config.name, config.url(), metrics.clone());
                ObservedStore {
                    store,
                    metrics,
                    status: status.clone(),
                }
            })
            .collect();
        Self {
            stores,
            metrics,
            status,
            deadline,
        }
    }

    /// What the status page shows of the stores and the events.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// The state of the stores and of this run for the next process.
    #[must_use]
    pub fn kept(&self) -> Kept {
        let stores = self.stores.iter().map(|store| store.metrics.clone());
        Kept::new(stores.collect(), self.metrics.run().clone())
    }

    /// The last results of all stores with their age in one line; `None` if no store has been queried yet.
    #[must_use]
    pub fn summary(&self, now: SystemTime) -> Option<String> {
        let last: Vec<_> = self
            .stores
            .iter()
            .map(|store| (store.name(), store.metrics.last_queries()))
            .collect();
        last.iter().find_map(|(_, last)| last.as_ref())?;
        let lines = last
            .into_iter()
            .map(|(store, last)| known::summary(store, last, now));
        Some(lines.collect::<Vec<_>>().join("; "))
    }

    /// Runs one event. It ends early when `abandoned` is cancelled.
    ///
    /// Each store is reported as soon as it has answered or failed; a failure does not end the event. An abandoned query changes no
    /// metric of its store.
    pub async fn observe(&mut self, trigger: Trigger, abandoned: CancellationToken) -> Event {
        self.metrics.triggered(trigger);
        self.status.event_began();
        let began = Instant::now();
        let root = tracing::info_span!(
            parent: None,
            "imagestore query",
            trigger = trigger.as_str(),
            "otel.status_code" = Empty,
            "otel.status_description" = Empty,
        );
        let limit = Limit::new(self.deadline, abandoned);
        let queries = self.stores.iter_mut().map(|store| store.query(&limit));
        let event = Event {
            outcomes: join_all(queries).instrument(root.clone()).await,
            trace_id: trace_id(&root),
        };
        if let Some(failures) = event.failures() {
            root.record("otel.status_code", "ERROR");
            root.record("otel.status_description", failures);
        }
        self.status.event_ended(EndedEvent {
            at: SystemTime::now(),
            trigger,
            duration: began.elapsed(),
            summary: event.failures().unwrap_or_else(|| event.summary()),
            stores: event.outcomes.len(),
            failures: event.failed().count(),
            trace_id: event.trace_id.clone(),
        });
        event
    }
}

impl Event {
    /// Whether a query was abandoned before it completed.
    #[must_use]
    pub fn was_abandoned(&self) -> bool {
        self.outcomes.iter().any(Outcome::was_abandoned)
    }

    /// Whether all queries were abandoned, so that nothing has changed.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.outcomes.iter().all(Outcome::was_abandoned)
    }

    /// The stores whose queries were abandoned.
    pub(crate) fn unanswered(&self) -> Vec<&str> {
        let abandoned = self.outcomes.iter().filter(|store| store.was_abandoned());
        abandoned.map(|store| store.store.as_str()).collect()
    }

    /// All outcomes in one line.
    pub(crate) fn summary(&self) -> String {
        let outcomes: Vec<String> = self.outcomes.iter().map(Outcome::summary).collect();
        outcomes.join("; ")
    }

    /// The failed ones in one line; `None` if every store answered.
    pub(crate) fn failures(&self) -> Option<String> {
        let failed: Vec<String> = self.failed().map(Outcome::summary).collect();
        (!failed.is_empty()).then(|| failed.join("; "))
    }

    fn failed(&self) -> impl Iterator<Item = &Outcome> {
        let outcomes = self.outcomes.iter();
        outcomes.filter(|outcome| outcome.answer.is_err())
    }
}

impl Outcome {
    fn was_abandoned(&self) -> bool {
        matches!(self.answer, Err(QueryError::Abandoned))
    }

    fn summary(&self) -> String {
        let Self {
            store, duration, ..
        } = self;
        match &self.answer {
            Ok(answer) => format!(
                "{store}: {}, queried in {duration:.1?}",
                counted(answer.contents.images, "image")
            ),
            Err(QueryError::Abandoned) => format!("{store}: query abandoned"),
            Err(error) => format!("{store}: query failed: {}", error.with_code()),
        }
    }

    /// Logs the query in one line.
    fn log(&self) {
        let Self {
            store, duration, ..
        } = self;
        match &self.answer {
            Ok(answer) => tracing::info!(
                name: "query answered",
                {
                    imagestore.store = store,
                    imagestore.images = signed(answer.contents.images),
                    imagestore.size_bytes = signed(answer.contents.size_bytes),
                    ?duration,
                },
                "images counted"
            ),
            Err(QueryError::Abandoned) => tracing::info!(
                { imagestore.store = store, ?duration },
                "query abandoned"
            ),
            Err(error) => tracing::error!(
                name: "query failed",
                {
                    imagestore.store = store,
                    code = error.code().name(),
                    %error,
                    ?duration,
                },
                "query failed"
            ),
        }
    }
}

impl ObservedStore {
    fn name(&self) -> &str {
        &self.store.config().name
    }

    async fn query(&mut self, limit: &Limit) -> Outcome {
        let began = Instant::now();
        let connection = Connection::default();
        let answer = self.store.count(limit, &connection).await;
        let mut outcome = Outcome {
            store: self.name().to_owned(),
            duration: match &answer {
                Ok(answer) => answer.duration,
                Err(_) => began.elapsed(),
            },
            answer,
        };
        // Report the count before the side calls, which may take seconds.
        outcome.log();
        self.measure(&outcome);
        if let Ok(answer) = outcome.answer {
            let answer = self.store.describe(limit, &connection, answer).await;
            self.metrics.described(&answer);
            outcome.answer = Ok(answer);
        }
        connection.close().await;
        outcome
    }

    fn measure(&self, outcome: &Outcome) {
        let trace_id = trace_id(&Span::current());
        let query = Query {
            duration: outcome.duration,
            trace_id: trace_id.as_deref(),
        };
        // Cancelled by the service or the command: the store has neither answered nor failed.
        if outcome.was_abandoned() {
            return;
        }
        self.status.query_ended(
            self.name(),
            EndedQuery {
                at: SystemTime::now(),
                duration: outcome.duration,
                failure: outcome.answer.as_ref().err().map(QueryError::with_code),
                trace_id: trace_id.clone(),
            },
        );
        match &outcome.answer {
            Ok(answer) => self.metrics.answered(answer, query),
            Err(error) => self.metrics.failed(error.code(), query),
        }
    }
}

/// OpenTelemetry has no unsigned attributes; larger numbers become `i64::MAX`.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn trace_id(span: &Span) -> Option<String> {
    let context = span.context();
    let span = context.span().span_context().clone();
    span.is_sampled().then(|| span.trace_id().to_string())
}
