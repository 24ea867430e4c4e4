//! A finished trace, and how a test asks for its parts.

use super::batch::{Batch, Process, Span};

/// The spans of one trace. Never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Who sent the spans.
    pub process: Process,
    /// The spans, in the order they arrived.
    pub spans: Vec<Span>,
}

impl Trace {
    /// The batch as a trace, unless it is empty or holds spans of several traces.
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

    /// The id as journal entries and the W3C header write it: 32 lower-case hex digits.
    pub fn id_hex(&self) -> String {
        format!("{:032x}", self.id())
    }

    /// The span whose parent is not in the trace.
    ///
    /// # Panics
    ///
    /// When there is not exactly one.
    pub fn root(&self) -> &Span {
        let mut roots = self.roots().into_iter();
        match (roots.next(), roots.next()) {
            (Some(root), None) => root,
            _ => panic!("a trace with other than one root:\n{}", self.render()),
        }
    }

    /// The span of this name.
    ///
    /// # Panics
    ///
    /// When there is not exactly one.
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

    /// All spans of this name, the first to start first.
    pub fn spans_named(&self, operation: &str) -> Vec<&Span> {
        self.in_order(|span| span.operation == operation)
    }

    /// The spans that this one caused, the first to start first.
    pub fn children_of(&self, parent: &Span) -> Vec<&Span> {
        self.in_order(|span| {
            span.parent_span_id == parent.span_id && span.span_id != parent.span_id
        })
    }

    /// The span that caused this one, if it is in the trace.
    pub fn parent_of(&self, child: &Span) -> Option<&Span> {
        self.spans
            .iter()
            .find(|span| span.span_id == child.parent_span_id)
    }

    /// The spans whose parents are not in the trace, the first to start first.
    pub(super) fn roots(&self) -> Vec<&Span> {
        self.in_order(|span| self.parent_of(span).is_none())
    }

    fn in_order(&self, wanted: impl Fn(&Span) -> bool) -> Vec<&Span> {
        let mut spans: Vec<_> = self.spans.iter().filter(|span| wanted(span)).collect();
        spans.sort_by_key(|span| (span.start_micros, &span.operation, span.span_id));
        spans
    }
}
