//! The status page: what it shows of the stores and the last events besides the metrics, and its HTML.
//!
//! All of it is in memory, and begins anew with the process. Its size is bounded, whatever the stores answer.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use rustix::system::uname;

use crate::{
    metrics::{LastQueries, Metrics, StoreMetrics, Trigger},
    words,
};

mod page;
mod trace_url;

pub(crate) use page::CONTENT_SECURITY_POLICY;

use page::View;
pub use trace_url::TraceUrl;

/// Number of events that the page shows.
const EVENTS: usize = 10;

/// Longest error, and longest summary of an event, on the page, in bytes of HTML: escaped, a quotation mark has six. The service's own
/// advice fits.
const LONGEST: usize = 600;

/// The state that the page shows. Copies share it.
#[derive(Clone, Debug)]
pub struct Status {
    state: Arc<Mutex<State>>,
    metrics: Metrics,
    trace_url: Option<TraceUrl>,
}

#[derive(Debug)]
struct State {
    started: SystemTime,
    /// In the order of the configuration.
    stores: Vec<StoreStatus>,
    /// When the running event began.
    running: Option<SystemTime>,
    /// The last ones, latest first.
    events: VecDeque<EndedEvent>,
}

#[derive(Debug)]
struct StoreStatus {
    name: String,
    /// Kind and address.
    url: String,
    metrics: StoreMetrics,
    /// The last query of this process.
    last: Option<EndedQuery>,
    /// The first of the last queries that all ended like the last one, as far as it is known.
    since: Option<SystemTime>,
}

/// A completed query of one store.
#[derive(Debug)]
pub(crate) struct EndedQuery {
    pub(crate) at: SystemTime,
    /// From connecting to the last byte of the list, or to the failure.
    pub(crate) duration: Duration,
    /// The error; `None` if the store answered.
    pub(crate) failure: Option<String>,
    /// The id of its trace in hexadecimal, if the trace is sampled.
    pub(crate) trace_id: Option<String>,
}

/// The end of an event: a query of all stores.
#[derive(Debug)]
pub(crate) struct EndedEvent {
    pub(crate) at: SystemTime,
    pub(crate) trigger: Trigger,
    pub(crate) duration: Duration,
    /// The failures in one line, or all outcomes if there are none.
    pub(crate) summary: String,
    /// Number of stores that were queried.
    pub(crate) stores: usize,
    /// Number of those that did not answer.
    pub(crate) failures: usize,
    /// The id of the trace in hexadecimal, if it is sampled.
    pub(crate) trace_id: Option<String>,
}

impl Status {
    /// The state of a process that starts now.
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                started: SystemTime::now(),
                stores: Vec::new(),
                running: None,
                events: VecDeque::with_capacity(EVENTS),
            })),
            metrics,
            trace_url: None,
        }
    }

    /// The page links trace ids to this URL.
    #[must_use]
    pub fn with_trace_url(self, trace_url: Option<TraceUrl>) -> Self {
        Self { trace_url, ..self }
    }

    /// Adds a store by its name, its kind and address, and its metrics.
    pub(crate) fn add(&self, name: &str, url: String, metrics: StoreMetrics) {
        self.lock().stores.push(StoreStatus {
            name: name.to_owned(),
            url,
            metrics,
            last: None,
            since: None,
        });
    }

    pub(crate) fn event_began(&self) {
        self.lock().running = Some(SystemTime::now());
    }

    /// A query of this store has completed. To be called before its metrics are updated.
    pub(crate) fn query_ended(&self, store: &str, query: EndedQuery) {
        let mut state = self.lock();
        let mut stores = state.stores.iter_mut();
        if let Some(store) = stores.find(|known| known.name == store) {
            store.ended(query);
        }
    }

    pub(crate) fn event_ended(&self, event: EndedEvent) {
        let mut state = self.lock();
        state.running = None;
        state.events.truncate(EVENTS - 1);
        state.events.push_front(EndedEvent {
            summary: shown(&event.summary, LONGEST),
            ..event
        });
    }

    /// The page in HTML.
    pub(crate) fn page(&self) -> String {
        let view = View {
            trace_url: self.trace_url.as_ref(),
            traces_lost: self.metrics.traces_lost(),
            host: uname().nodename().to_string_lossy().into_owned(),
            now: SystemTime::now(),
        };
        view.page(&self.lock())
    }

    /// The state is always consistent, even after a panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoreStatus {
    fn ended(&mut self, query: EndedQuery) {
        let up = query.failure.is_none();
        self.since = match self.metrics.last_queries() {
            Some(before) if before.up == up => self.since.or(Some(before.queried)),
            _ => Some(query.at),
        };
        self.last = Some(EndedQuery {
            failure: query.failure.map(|failure| shown(&failure, LONGEST)),
            ..query
        });
    }

    /// The results of the last queries, and the first of the last ones that all ended alike.
    fn known(&self) -> Option<(LastQueries, SystemTime)> {
        let last = self.metrics.last_queries()?;
        let since = self.since.unwrap_or(last.queried);
        Some((last, since))
    }
}

/// On one line, without control characters, and cut to what is at most `limit` bytes in HTML.
fn shown(text: &str, limit: usize) -> String {
    let text = words::escaped(text);
    let mut length = 0;
    let kept = text.chars().take_while(|character| {
        length += match character {
            '"' => "&quot;".len(),
            '&' => "&amp;".len(),
            '<' | '>' => "&lt;".len(),
            other => other.len_utf8(),
        };
        length <= limit
    });
    let kept = kept.map(char::len_utf8).sum();
    if kept == text.len() {
        text
    } else {
        words::cut(&text, kept)
    }
}

#[cfg(test)]
mod tests;
