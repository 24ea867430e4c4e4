//! The recent activity of a connection, which decides whether it is closed to make room.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// A client that reads nothing of its answer for this long counts as silent.
const STALLED_AFTER: Duration = Duration::from_secs(1);

/// The activity of one connection, shared by its task and [`Connections`](super::Connections).
#[derive(Debug)]
pub(super) struct Activity {
    accepted: Instant,
    state: Mutex<State>,
    /// Whether bytes have been read since the last request.
    has_read: AtomicBool,
}

/// A connection is waiting for a request, or sending an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    /// When it was accepted, or when the client last read part of an answer. A partial request does not count, so sending it byte
    /// by byte gains nothing.
    last: Instant,
    /// When the current answer began; `None` while waiting for a request.
    answering: Option<Instant>,
}

impl Activity {
    pub(super) fn begin() -> Self {
        let now = Instant::now();
        Self {
            accepted: now,
            state: Mutex::new(State {
                last: now,
                answering: None,
            }),
            has_read: AtomicBool::new(false),
        }
    }

    pub(super) fn age(&self) -> Duration {
        self.accepted.elapsed()
    }

    pub(super) fn state(&self) -> State {
        *self.lock()
    }

    /// Whether part of an answer is still to be written.
    #[cfg(test)]
    pub(super) fn is_answering(&self) -> bool {
        self.state().answering.is_some()
    }

    /// Whether this request was read together with the previous one. Call it once for each request.
    pub(super) fn is_pipelined(&self) -> bool {
        !self.has_read.swap(false, Ordering::Relaxed)
    }

    /// Records that bytes were read.
    pub(super) fn received(&self) {
        self.has_read.store(true, Ordering::Relaxed);
    }

    /// Records that an answer is about to be written.
    pub(super) fn sending(&self) {
        self.lock().answering.get_or_insert_with(Instant::now);
    }

    /// Records that part of it was written.
    pub(super) fn sent(&self) {
        self.lock().last = Instant::now();
    }

    /// Records that it was written completely.
    pub(super) fn flushed(&self) {
        let mut state = self.lock();
        if state.answering.take().is_some() {
            state.last = Instant::now();
        }
    }

    /// The state is always consistent, even after a panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Picks the connection to close: the one that has been silent longest.
///
/// A connection is silent while it waits for a request, and if the client has read nothing of an answer for a second. If no
/// connection is silent, the one whose answer has taken longest is picked, if that is at least a second; otherwise `None`.
pub(super) fn longest_silent<T>(
    now: Instant,
    connections: impl Iterator<Item = (T, State)> + Clone,
) -> Option<T> {
    let is_long_ago = |time| now.saturating_duration_since(time) >= STALLED_AFTER;
    let silent = connections.clone().filter_map(|(connection, state)| {
        let is_silent = state.answering.is_none() || is_long_ago(state.last);
        is_silent.then_some((state.last, connection))
    });
    let slow = connections.filter_map(|(connection, state)| {
        let began = state.answering.filter(|began| is_long_ago(*began))?;
        Some((began, connection))
    });
    let earliest = silent.min_by_key(|(since, _)| *since);
    let earliest = earliest.or_else(|| slow.min_by_key(|(since, _)| *since));
    earliest.map(|(_, connection)| connection)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{State, longest_silent};

    /// The result for connections given as milliseconds since they were last active and since their answer began.
    fn picked(connections: &[(u64, Option<u64>)]) -> Option<usize> {
        let now = Instant::now() + Duration::from_secs(3600);
        let ago = |milliseconds| now - Duration::from_millis(milliseconds);
        let states = connections.iter().map(|&(last, answering)| State {
            last: ago(last),
            answering: answering.map(ago),
        });
        longest_silent(now, states.enumerate())
    }

    #[test]
    fn the_connection_that_has_been_silent_longest_makes_room() {
        assert_eq!(picked(&[(20, None), (30, None), (10, None)]), Some(1));
        assert_eq!(picked(&[]), None);
    }

    #[test]
    fn an_answer_that_is_being_taken_is_not_silence() {
        assert_eq!(picked(&[(999, Some(999)), (1, None)]), Some(1));
        assert_eq!(picked(&[(999, Some(60_000)), (0, None)]), Some(1));
        assert_eq!(picked(&[(999, Some(999))]), None);
    }

    #[test]
    fn an_answer_that_was_not_read_for_a_second_is_silence() {
        assert_eq!(picked(&[(999, None), (1_000, Some(1_000))]), Some(1));
        assert_eq!(picked(&[(2_000, None), (1_000, Some(60_000))]), Some(0));
    }

    #[test]
    fn if_no_connection_is_silent_the_slowest_answer_makes_room() {
        let slow = [(10, Some(3_000)), (999, Some(4_000)), (10, Some(10))];
        assert_eq!(picked(&slow), Some(1));
        assert_eq!(picked(&[(10, Some(1_000)), (5, Some(999))]), Some(0));
    }
}
