//! Groups lines into families, and holds them to the order the format wants.

use super::line::{self, Line};
use super::{Family, Kind, ParseError, Sample, Scrape, histogram};

/// A text half read: the last family is the one that lines are added to.
#[derive(Default)]
struct Parser {
    families: Vec<Family>,
    /// Whether the last family has had its TYPE line.
    typed: bool,
}

pub(super) fn parse(text: &str) -> Result<Scrape, ParseError> {
    let mut parser = Parser::default();
    let mut lines = 0;
    for (index, text) in text.split_terminator('\n').enumerate() {
        lines = index + 1;
        parser
            .add(text)
            .map_err(|why| ParseError { line: lines, why })?;
    }
    let ended = if text.is_empty() || text.ends_with('\n') {
        parser.close()
    } else {
        Err("the last line does not end with a newline".to_owned())
    };
    ended.map_err(|why| ParseError { line: lines, why })?;
    Ok(Scrape {
        families: parser.families,
    })
}

impl Parser {
    fn add(&mut self, text: &str) -> Result<(), String> {
        match line::read(text)? {
            Line::Nothing => Ok(()),
            Line::Help { name, text } => self.help(&name, text),
            Line::Type { name, kind } => self.kind(&name, kind),
            Line::Sample(sample) => self.sample(sample),
        }
    }

    fn help(&mut self, name: &str, text: String) -> Result<(), String> {
        let family = self.header(name, "HELP")?;
        match family.help.replace(text) {
            None => Ok(()),
            Some(_) => Err(format!("a second HELP for {name}")),
        }
    }

    fn kind(&mut self, name: &str, kind: Kind) -> Result<(), String> {
        self.header(name, "TYPE")?.kind = kind;
        if std::mem::replace(&mut self.typed, true) {
            return Err(format!("a second TYPE for {name}"));
        }
        Ok(())
    }

    /// The family that a HELP or TYPE line is about: the last one, or a new one.
    fn header(&mut self, name: &str, what: &str) -> Result<&mut Family, String> {
        if self.families.last().is_none_or(|last| last.name != name) {
            return self.open(name);
        }
        let family = self.families.last_mut().expect("it was looked at just now");
        if family.samples.is_empty() {
            return Ok(family);
        }
        Err(format!("{what} for {name} after its samples"))
    }

    fn sample(&mut self, sample: Sample) -> Result<(), String> {
        let family = match self.families.last_mut() {
            Some(last) if last.holds(&sample.name) => last,
            Some(last) if last.name == sample.name => {
                return Err(format!("{} is a histogram, not a sample", last.name));
            }
            _ => self.open(&sample.name)?,
        };
        check_labels(family, &sample)?;
        let same = |other: &Sample| other.name == sample.name && other.labels == sample.labels;
        if family.samples.iter().any(same) {
            return Err(format!(
                "the series {}{:?} comes twice",
                sample.name, sample.labels
            ));
        }
        family.samples.push(sample);
        Ok(())
    }

    /// Begins a family, unless it has been there, and ends the one before it.
    fn open(&mut self, name: &str) -> Result<&mut Family, String> {
        self.close()?;
        let known = |family: &&Family| family.name == name || family.holds(name);
        if let Some(family) = self.families.iter().find(known) {
            return Err(format!("the family {} is in two places", family.name));
        }
        self.typed = false;
        self.families.push(Family::new(name));
        Ok(self.families.last_mut().expect("it was pushed just now"))
    }

    fn close(&self) -> Result<(), String> {
        self.families.last().map_or(Ok(()), histogram::check)
    }
}

/// `le` and `quantile` belong to buckets and quantiles, and to nothing else.
fn check_labels(family: &Family, sample: &Sample) -> Result<(), String> {
    let Sample { name, labels, .. } = sample;
    let wanted = match family.kind {
        Kind::Histogram if name.ends_with("_bucket") => Some("le"),
        Kind::Summary if *name == family.name => Some("quantile"),
        Kind::Untyped => return Ok(()),
        _ => None,
    };
    for label in ["le", "quantile"] {
        match (wanted == Some(label), labels.contains_key(label)) {
            (true, false) => return Err(format!("{name} without the label {label}")),
            (false, true) => return Err(format!("{name} with the label {label}")),
            _ => {}
        }
    }
    Ok(())
}
