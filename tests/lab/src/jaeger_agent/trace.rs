//! A complete trace, and accessors for tests.

use super::batch::{Batch, Process, Span};

/// The spans of one trace. Never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// The sender of the spans.
    pub process: Process,
    /// The spans, in the order they arrived.
    pub spans: Vec<Span>,
}

impl Trace {
    /// The batch as a trace; `None` if it is empty or has spans of several traces.
    pub fn from_batch(batch: Batch) -> Option<Self> {
        let id = batch.spans.first()?.trace_id;
        let one_trace = batch.spans.iter().all(|span| span.trace_id == id);
        one_trace.then_some(Self {
            process: batch.process,
            spans: batch.spans,
        })
    }

    /// The id that all spans share.
    pub fn id(&self) -> u128 {
        self.spans[0].trace_id
    }

    /// The id as in journal entries and in the W3C header: 32 lower-case hex digits.
    pub fn id_hex(&self) -> String {
        format!("{:032x}", self.id())
    }

    /// The span whose parent is not in the trace.
    ///
    /// # Panics
    ///
    /// If there is not exactly one.
    pub fn root(&self) -> &Span {
        let mut roots = self.roots().into_iter();
        match (roots.next(), roots.next()) {
            (Some(root), None) => root,
            _ => panic!(
                "the trace does not have exactly one root:\n{}",
                self.render()
            ),
        }
    }

    /// The span of this name.
    ///
    /// # Panics
    ///
    /// If there is not exactly one.
    pub fn span(&self, operation: &str) -> &Span {
        match self.spans_named(operation)[..] {
            [span] => span,
            ref spans => panic!(
                "{} spans named {operation:?}:\n{}",
                spans.len(),
                self.render()
            ),
        }
    }

    /// All spans of this name, in the order of their start.
    pub fn spans_named(&self, operation: &str) -> Vec<&Span> {
        self.in_order(|span| span.operation == operation)
    }

    /// The children of this span, in the order of their start.
    pub fn children_of(&self, parent: &Span) -> Vec<&Span> {
        self.in_order(|span| {
            span.parent_span_id == parent.span_id && span.span_id != parent.span_id
        })
    }

    /// The parent of this span, if it is in the trace.
    pub fn parent_of(&self, child: &Span) -> Option<&Span> {
        self.spans
            .iter()
            .find(|span| span.span_id == child.parent_span_id)
    }

    /// The spans whose parents are not in the trace, in the order of their start.
    pub(super) fn roots(&self) -> Vec<&Span> {
        self.in_order(|span| self.parent_of(span).is_none())
    }

    fn in_order(&self, wanted: impl Fn(&Span) -> bool) -> Vec<&Span> {
        let mut spans: Vec<_> = self.spans.iter().filter(|span| wanted(span)).collect();
        spans.sort_by_key(|span| (span.start_micros, &span.operation, span.span_id));
        spans
    }
}
