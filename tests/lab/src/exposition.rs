//! Reads the Prometheus text format, version 0.0.4, strictly.
//!
//! From <https://prometheus.io/docs/instrumenting/exposition_formats/>. What a scraper would
//! tolerate and a maintainer would not want to expose is an error with its line.

use std::collections::BTreeMap;
use std::fmt;

mod histogram;
mod line;
mod parser;
#[cfg(test)]
mod tests;

/// What one scrape answered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scrape {
    /// The families in the order of the text.
    pub families: Vec<Family>,
}

/// The samples of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// The name in HELP and TYPE.
    pub name: String,
    /// [`Kind::Untyped`] without a TYPE line.
    pub kind: Kind,
    /// The HELP text, its escapes resolved.
    pub help: Option<String>,
    /// The samples in the order of the text.
    pub samples: Vec<Sample>,
}

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets with a sum and a count.
    Histogram,
    /// Quantiles with a sum and a count.
    Summary,
    /// Not told.
    Untyped,
}

/// One line with a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The family's name, or that with `_bucket`, `_sum` or `_count`.
    pub name: String,
    /// The labels, escapes resolved.
    pub labels: BTreeMap<String, String>,
    /// The number.
    pub value: f64,
    /// Milliseconds since the Unix epoch, when given.
    pub timestamp_millis: Option<i64>,
}

/// Why a text is not the exposition format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// The line where it shows, the first being 1; of a histogram the line after it.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl std::error::Error for ParseError {}

impl Scrape {
    /// Reads a whole body.
    ///
    /// # Errors
    ///
    /// At which line the text breaks the format.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parser::parse(text)
    }

    /// The value of the series with exactly these labels; for a histogram ask for the name with
    /// `_sum`, `_count` or `_bucket`.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.samples(name)
            .find(|sample| sample.has_exactly(labels))
            .map(|sample| sample.value)
    }

    /// The sum over all series of this name, if there is one.
    pub fn sum(&self, name: &str) -> Option<f64> {
        self.samples(name)
            .map(|sample| sample.value)
            .reduce(|sum, value| sum + value)
    }

    /// All samples of this name, in the order of the text.
    pub fn samples(&self, name: &str) -> impl Iterator<Item = &Sample> {
        let samples = self.families.iter().flat_map(|family| &family.samples);
        samples.filter(move |sample| sample.name == name)
    }

    /// The family of this name.
    pub fn family(&self, name: &str) -> Option<&Family> {
        self.families.iter().find(|family| family.name == name)
    }

    /// The names of all families, in the order of the text.
    pub fn names(&self) -> Vec<&str> {
        self.families
            .iter()
            .map(|family| family.name.as_str())
            .collect()
    }
}

impl Sample {
    /// Whether these are all of the sample's labels, in any order.
    pub fn has_exactly(&self, labels: &[(&str, &str)]) -> bool {
        self.labels.len() == labels.len() && self.has(labels)
    }

    /// Whether these are among the sample's labels.
    pub fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels
            .iter()
            .all(|(key, value)| self.labels.get(*key).is_some_and(|have| have == value))
    }
}

impl Family {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: Kind::Untyped,
            help: None,
            samples: Vec::new(),
        }
    }

    /// Whether samples of this name belong to the family.
    fn holds(&self, sample: &str) -> bool {
        let Some(suffix) = sample.strip_prefix(self.name.as_str()) else {
            return false;
        };
        match self.kind {
            Kind::Histogram => matches!(suffix, "_bucket" | "_sum" | "_count"),
            Kind::Summary => matches!(suffix, "" | "_sum" | "_count"),
            Kind::Counter | Kind::Gauge | Kind::Untyped => suffix.is_empty(),
        }
    }
}
