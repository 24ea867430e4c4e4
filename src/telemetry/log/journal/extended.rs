//! Places in the code that log, with the fields that the journal's entries have besides those of the event.

use std::collections::HashMap;

use tracing::{Metadata, callsite::Identifier, field::FieldSet, metadata::Kind};

/// What each place in the code that logs has besides its own fields: those that every entry is given.
///
/// The fields of a span of ours would do, and bring the span's name and place into each entry.
#[derive(Debug, Default)]
pub(super) struct Extended(HashMap<Identifier, &'static Metadata<'static>>);

impl Extended {
    const FIELDS: [&str; 3] = ["TRACE_ID", "SPAN_ID", "MESSAGE_ID"];

    /// Events want metadata that last for ever; there are no more of them than places in the code.
    pub(super) fn of(
        &mut self,
        metadata: &'static Metadata<'static>,
    ) -> &'static Metadata<'static> {
        self.0.entry(metadata.callsite()).or_insert_with(|| {
            let fields = metadata.fields().iter().map(|field| field.name());
            let fields: Vec<_> = fields.chain(Self::FIELDS).collect();
            Box::leak(Box::new(Metadata::new(
                metadata.name(),
                metadata.target(),
                *metadata.level(),
                metadata.file(),
                metadata.line(),
                metadata.module_path(),
                FieldSet::new(fields.leak(), metadata.callsite()),
                Kind::EVENT,
            )))
        })
    }
}
