//! One event: a trace, the concurrent queries of all stores, and the report of their results.

use std::{
    mem,
    time::{Duration, SystemTime},
};

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
};

mod event;
mod known;

pub use crate::metrics::Trigger;
pub use event::Event;
pub(crate) use event::Outcome;

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
    /// The warning of the last answer.
    warning: Option<String>,
}

impl Observer {
    /// An observer of `stores`, which queries all of them within `deadline`.
    pub fn new(stores: Vec<ImageStore>, metrics: Metrics, deadline: Duration) -> Self {
        let status = Status::new(metrics.clone());
        let stores = stores
            .into_iter()
            .map(|store| {
                let config = store.config();
                let location = config.location();
                let metrics = metrics.store(&config.name, config.kind.name, &location);
                status.add(&config.name, config.url(), metrics.clone());
                ObservedStore {
                    store,
                    metrics,
                    status: status.clone(),
                    warning: None,
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
            self.warn(&answer);
            outcome.answer = Ok(answer);
        }
        connection.close().await;
        outcome
    }

    /// Logs the answer's warning; at debug, if it is that of the answer before.
    fn warn(&mut self, answer: &Answer) {
        let before = mem::replace(&mut self.warning, answer.warning.clone());
        let Some(warning) = &answer.warning else {
            return;
        };
        let store = self.name();
        if before == answer.warning {
            tracing::debug!({ imagestore.store = store, warning }, "answered with the same warning");
        } else {
            tracing::warn!({ imagestore.store = store, warning }, "answered with a warning");
        }
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

fn trace_id(span: &Span) -> Option<String> {
    let context = span.context();
    let span = context.span().span_context().clone();
    span.is_sampled().then(|| span.trace_id().to_string())
}
