//! The formats and codings of a scrape.

use prometheus::{Registry, Result, TextEncoder};

use super::{exemplars::Exemplars, gzip::Piece, openmetrics};

/// The format of an exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The Prometheus text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

/// The content coding of an exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Not compressed.
    Identity,
    /// gzip.
    Gzip,
}

/// Families, encoded in one format.
#[derive(Debug)]
pub(super) struct Text {
    plain: Vec<u8>,
    compressed: Option<Piece>,
}

impl Format {
    /// The `Content-Type`.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The last line of an exposition, if the format has one.
    pub(super) fn end(self) -> &'static str {
        match self {
            Self::Text => "",
            Self::OpenMetrics => openmetrics::END,
        }
    }
}

impl Text {
    pub(super) fn encode(
        registry: &Registry,
        format: Format,
        exemplars: Option<&Exemplars>,
    ) -> Result<Self> {
        let families = registry.gather();
        let mut text = String::new();
        match format {
            Format::Text => TextEncoder::new().encode_utf8(&families, &mut text)?,
            Format::OpenMetrics => openmetrics::encode(&families, exemplars, &mut text)?,
        }
        Ok(Self {
            plain: text.into_bytes(),
            compressed: None,
        })
    }

    pub(super) fn plain(&self) -> &[u8] {
        &self.plain
    }

    pub(super) fn extend(&mut self, more: &str) {
        self.plain.extend(more.bytes());
    }

    /// The compressed text; made by the first call, and kept.
    pub(super) fn compressed(&mut self) -> &Piece {
        let Self { plain, compressed } = self;
        compressed.get_or_insert_with(|| Piece::compress(plain))
    }
}
