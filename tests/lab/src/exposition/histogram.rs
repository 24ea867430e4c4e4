//! What the samples of a finished histogram or summary have to be to each other.

use std::collections::BTreeMap;

use super::line::number;
use super::{Family, Kind, Sample};

type Labels = BTreeMap<String, String>;

/// The samples that share their labels, `le` and `quantile` aside.
#[derive(Default)]
struct Series<'a> {
    steps: Vec<&'a Sample>,
    sum: Option<f64>,
    count: Option<f64>,
}

pub(super) fn check(family: &Family) -> Result<(), String> {
    let step = match family.kind {
        Kind::Histogram => "le",
        Kind::Summary => "quantile",
        Kind::Counter | Kind::Gauge | Kind::Untyped => return Ok(()),
    };
    for (labels, series) in group(family, step) {
        let checked = series.check_steps(step).and_then(|()| match family.kind {
            Kind::Histogram => series.check_buckets(),
            _ => Ok(()),
        });
        checked.map_err(|why| format!("{}{labels:?} {why}", family.name))?;
    }
    Ok(())
}

fn group<'a>(family: &'a Family, step: &str) -> BTreeMap<Labels, Series<'a>> {
    let mut groups = BTreeMap::<Labels, Series>::new();
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        labels.remove(step);
        let series = groups.entry(labels).or_default();
        match &sample.name[family.name.len()..] {
            "_sum" => series.sum = Some(sample.value),
            "_count" => series.count = Some(sample.value),
            _ => series.steps.push(sample),
        }
    }
    groups
}

impl Series<'_> {
    fn check_steps(&self, step: &str) -> Result<(), String> {
        if self.sum.is_none() || self.count.is_none() {
            return Err("lacks its _sum or its _count".to_owned());
        }
        let steps = self.steps.iter().map(|sample| number(&sample.labels[step]));
        let steps = steps.collect::<Result<Vec<_>, _>>()?;
        match steps.is_sorted_by(|one, next| one < next) {
            true => Ok(()),
            false => Err(format!("has a {step} that is not above the one before it")),
        }
    }

    fn check_buckets(&self) -> Result<(), String> {
        if !self.steps.is_sorted_by(|one, next| one.value <= next.value) {
            return Err("has a bucket that counts less than the one below it".to_owned());
        }
        let last = self.steps.last().filter(|last| last.labels["le"] == "+Inf");
        let last = last.ok_or("has no bucket up to +Inf")?;
        match self.count == Some(last.value) {
            true => Ok(()),
            false => Err("counts otherwise in _count than in its last bucket".to_owned()),
        }
    }
}
