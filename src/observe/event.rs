//! The result of an event, for metrics, log and status.

use std::time::Duration;

use crate::{
    answer::{Answer, Contents, QueryError},
    words::counted,
};

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

    pub(super) fn failed(&self) -> impl Iterator<Item = &Outcome> {
        let outcomes = self.outcomes.iter();
        outcomes.filter(|outcome| outcome.answer.is_err())
    }
}

impl Outcome {
    pub(super) fn was_abandoned(&self) -> bool {
        matches!(self.answer, Err(QueryError::Abandoned))
    }

    fn summary(&self) -> String {
        let Self {
            store, duration, ..
        } = self;
        match &self.answer {
            Ok(answer) => {
                let warning = answer
                    .warning
                    .iter()
                    .map(|why| format!(" (warning: {why})"));
                let warning: String = warning.collect();
                let images = images(&answer.contents);
                format!("{store}: {images}, queried in {duration:.1?}{warning}")
            }
            Err(QueryError::Abandoned) => format!("{store}: query abandoned"),
            Err(error) => format!("{store}: query failed: {}", error.with_code()),
        }
    }

    /// Logs the query in one line.
    pub(super) fn log(&self) {
        let Self {
            store, duration, ..
        } = self;
        match &self.answer {
            Ok(answer) => tracing::info!(
                name: "query answered",
                {
                    imagestore.store = store,
                    imagestore.images = answer.contents.images.map(signed),
                    imagestore.image_names = answer.contents.names.map(signed),
                    imagestore.size_bytes = answer.contents.size_bytes.map(signed),
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

/// The number of images, or of their names if the images could not be counted.
fn images(contents: &Contents) -> String {
    match (contents.images, contents.names) {
        (Some(images), _) => counted(images, "image"),
        (None, names) => counted(names.unwrap_or_default(), "image name"),
    }
}

/// OpenTelemetry has no unsigned attributes; larger numbers become `i64::MAX`.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
