//! Parses the Prometheus text format as the service writes it: HELP, TYPE, samples without timestamps.
//!
//! promtool validates the format, see tests/scrapes.rs. This parser also refuses what promtool accepts: a sample without a TYPE,
//! a family in two places, and a series that appears twice.

use std::collections::BTreeMap;

/// The result of one scrape.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scrape {
    /// The families in the order of the text.
    pub families: Vec<Family>,
}

/// The samples of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// The name in the TYPE line.
    pub name: String,
    /// The type: `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// The samples in the order of the text.
    pub samples: Vec<Sample>,
}

/// One line with a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The family's name, for histograms with `_bucket`, `_sum` or `_count` appended.
    pub name: String,
    /// The labels, escapes resolved.
    pub labels: BTreeMap<String, String>,
    /// The number.
    pub value: f64,
}

impl Scrape {
    /// Parses a whole body.
    ///
    /// # Errors
    ///
    /// The line that is malformed or misplaced.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text
            .strip_suffix('\n')
            .ok_or("the last line does not end with a newline")?;
        let mut scrape = Self::default();
        for line in lines.split('\n') {
            scrape
                .add(line)
                .ok_or_else(|| format!("not the text format: {line:?}"))?;
        }
        Ok(scrape)
    }

    fn add(&mut self, line: &str) -> Option<()> {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ')?;
            let is_new = !self.names().contains(&name);
            is_new.then(|| self.families.push(Family::new(name, kind)))
        } else if line.starts_with("# HELP ") {
            Some(())
        } else {
            self.families.last_mut()?.add(Sample::parse(line)?)
        }
    }

    /// The value of the series with exactly these labels. For a histogram, `name` must end with `_sum`, `_count` or `_bucket`.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.samples(name)
            .find(|sample| sample.has_exactly(labels))
            .map(|sample| sample.value)
    }

    /// The sum over all series of this name, or `None` if there are none.
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

    /// The names of all families, in the order of the text.
    pub fn names(&self) -> Vec<&str> {
        self.families
            .iter()
            .map(|family| family.name.as_str())
            .collect()
    }
}

impl Family {
    fn new(name: &str, kind: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            samples: Vec::new(),
        }
    }

    fn add(&mut self, sample: Sample) -> Option<()> {
        let belongs_here = match sample.name.strip_prefix(&self.name)? {
            "" => self.kind != "histogram",
            "_bucket" | "_sum" | "_count" => self.kind == "histogram",
            _ => false,
        };
        let is_known = |known: &Sample| known.name == sample.name && known.labels == sample.labels;
        let is_new = !self.samples.iter().any(is_known);
        (belongs_here && is_new).then(|| self.samples.push(sample))
    }
}

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}')?),
            None => (series, ""),
        };
        Some(Self {
            name: name.to_owned(),
            labels: parse_labels(labels)?,
            value: value.parse().ok()?,
        })
    }

    /// Whether these are all of the sample's labels, in any order.
    pub fn has_exactly(&self, labels: &[(&str, &str)]) -> bool {
        self.labels.len() == labels.len() && self.has(labels)
    }

    /// Whether these are among the sample's labels.
    pub fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels
            .iter()
            .all(|(key, value)| self.labels.get(*key).is_some_and(|found| found == value))
    }
}

fn parse_labels(mut rest: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    while !rest.is_empty() {
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, after) = unquote(quoted)?;
        labels.insert(name.to_owned(), value);
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Some(labels)
}

/// A value up to its closing quote, with escapes resolved, and the rest of the text.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(match characters.next()? {
                'n' => '\n',
                escaped => escaped,
            }),
            character => value.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_without_their_escapes() {
        let text = "# TYPE a gauge\na{b=\"c\\\\d \\\"e\\\",f=\\n\",g=\"}\"} 1.5\na 2\n";
        let scrape = Scrape::parse(text).expect("the text is well-formed");
        let labels = [("g", "}"), ("b", "c\\d \"e\",f=\n")];
        assert_eq!(scrape.value("a", &labels), Some(1.5));
        assert_eq!(scrape.value("a", &[]), Some(2.0));
        assert_eq!(scrape.value("a", &labels[..1]), None);
    }

    #[test]
    fn text_that_promtool_accepts_by_mistake_is_refused() {
        for text in [
            "a 1\n",
            "# TYPE a gauge\n# TYPE b gauge\na 1\n",
            "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# TYPE a gauge\na{b=\"c\"} 1\n",
            "# TYPE a gauge\na{b=\"1\",c=\"2\"} 1\na{c=\"2\",b=\"1\"} 2\n",
            "# TYPE a histogram\na 1\n",
            "# TYPE a gauge\na 1",
        ] {
            assert!(Scrape::parse(text).is_err(), "{text}");
        }
    }
}
