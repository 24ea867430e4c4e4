//! One event: a trace, in it every store asked concurrently, and the facts reported.
//!
//! It returns nothing: an event may fail, the service may not.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field::Empty};

use crate::{
    images::{self, Answer, ImageStore, Limit, QueryError},
    metrics::{Contents, Metrics, Runtime, StoreMetrics},
};

pub use crate::metrics::Trigger;

/// Asks the stores and reports what they answer.
#[derive(Debug)]
pub struct Observer<S> {
    stores: Vec<Observed>,
    metrics: Metrics,
    deadline: Duration,
    status: S,
}

#[derive(Debug)]
struct Observed {
    store: ImageStore,
    metrics: StoreMetrics,
    /// Who answered last, to be replaced when somebody else does.
    runtime: Option<Runtime>,
}

impl<S: Fn(&str)> Observer<S> {
    /// Asks `stores`, all within `deadline`; `status` takes one line that sums up each event.
    pub fn new(stores: Vec<ImageStore>, metrics: Metrics, deadline: Duration, status: S) -> Self {
        let stores = stores
            .into_iter()
            .map(|store| Observed {
                metrics: metrics
                    .store(store.name())
                    .expect_codes(images::error_codes()),
                store,
                runtime: None,
            })
            .collect();
        Self {
            stores,
            metrics,
            deadline,
            status,
        }
    }

    /// One event, from its trigger to the last report. It ends early when `abandoned` is cancelled.
    pub async fn observe(&mut self, trigger: Trigger, abandoned: CancellationToken) {
        self.metrics.triggered(trigger);
        let root = tracing::info_span!(
            parent: None,
            "imagestore query",
            trigger = trigger.as_str(),
            "otel.status_code" = Empty,
            "otel.status_description" = Empty,
        );
        let limit = Limit {
            deadline: Instant::now() + self.deadline,
            abandoned,
        };
        let asked = self.stores.iter_mut().map(|store| store.ask(&limit));
        let reports = join_all(asked).instrument(root.clone()).await;

        let failed: Vec<&str> = reports
            .iter()
            .filter(|report| report.failed)
            .map(|report| report.line.as_str())
            .collect();
        if !failed.is_empty() {
            root.record("otel.status_code", "ERROR");
            root.record("otel.status_description", failed.join("; "));
        }
        let lines: Vec<&str> = reports.iter().map(|report| report.line.as_str()).collect();
        (self.status)(&lines.join("; "));
    }
}

/// What one store's part came to, in a line.
struct Report {
    failed: bool,
    line: String,
}

impl Observed {
    async fn ask(&mut self, limit: &Limit) -> Report {
        let began = Instant::now();
        match self.store.query(limit).await {
            Ok(answer) => self.answered(answer),
            Err(error) => self.failed(&error, began.elapsed()),
        }
    }

    fn answered(&mut self, answer: Answer) -> Report {
        let name = self.store.name();
        let Answer {
            images, duration, ..
        } = answer;
        tracing::info!(
            name: "query answered",
            {
                imagestore.store = name,
                imagestore.images = images.cast_signed(),
                imagestore.size_bytes = answer.size_bytes.cast_signed(),
                ?duration,
            },
            "images counted"
        );
        let line = format!("{name}: {images} images, asked in {duration:.1?}");
        self.metrics.answered(&contents(&answer), duration);
        if let Some(runtime) = answer.runtime.map(runtime) {
            self.metrics.identified(&runtime, self.runtime.as_ref());
            self.runtime = Some(runtime);
        }
        Report {
            failed: false,
            line,
        }
    }

    fn failed(&self, error: &QueryError, duration: Duration) -> Report {
        let name = self.store.name();
        tracing::error!(
            name: "query failed",
            {
                imagestore.store = name,
                code = error.code(),
                %error,
                ?duration,
            },
            "query failed"
        );
        self.metrics.failed(error.code(), duration);
        Report {
            failed: true,
            line: format!("{name}: query failed: {error}"),
        }
    }
}

fn contents(answer: &Answer) -> Contents {
    Contents {
        images: answer.images,
        size_bytes: answer.size_bytes,
        oldest_seconds: answer.oldest_seconds,
        newest_seconds: answer.newest_seconds,
        response_bytes: answer.response_bytes,
    }
}

fn runtime(runtime: images::Runtime) -> Runtime {
    Runtime {
        name: runtime.name.to_owned(),
        version: runtime.version,
        api_version: runtime.api_version,
    }
}
