//! The gauges of all stores: what is known of each, and how it is shown.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::{
    core::{Collector, Desc},
    proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType},
};

use super::families::{Ended, FAMILIES, Family, Row, Value};
use crate::answer::Answer;

/// The gauges of all stores. Copies share them.
#[derive(Clone, Debug)]
pub(super) struct Gauges {
    descriptions: Arc<[Desc]>,
    stores: Arc<Mutex<Vec<Known>>>,
}

/// What is known of one store.
#[derive(Debug)]
pub(super) struct Known {
    store: String,
    series: Vec<Series>,
}

/// One series of a store.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) family: &'static Family,
    /// The values of the labels besides `store`.
    pub(super) labels: Vec<String>,
    pub(super) value: f64,
}

impl Gauges {
    pub(super) fn new() -> prometheus::Result<Self> {
        let descriptions = FAMILIES.iter().map(|family| {
            let labels = family.labels().iter().map(|&label| label.to_owned());
            Desc::new(
                family.name.to_owned(),
                family.help.to_owned(),
                labels.chain(["store".to_owned()]).collect(),
                [].into(),
            )
        });
        Ok(Self {
            descriptions: descriptions.collect::<prometheus::Result<_>>()?,
            stores: Arc::default(),
        })
    }

    /// Adds a store of which nothing is known.
    pub(super) fn add(&self, store: &str) {
        self.lock().push(Known {
            store: store.to_owned(),
            series: Vec::new(),
        });
    }

    /// What is known of a store that was added.
    pub(super) fn with<T>(&self, store: &str, work: impl FnOnce(&mut Known) -> T) -> Option<T> {
        let mut stores = self.lock();
        let known = stores.iter_mut().find(|known| known.store == store)?;
        Some(work(known))
    }

    /// Nothing panics while it is locked.
    fn lock(&self) -> MutexGuard<'_, Vec<Known>> {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    pub(super) fn series(&self) -> &[Series] {
        &self.series
    }

    /// The number of a family without further labels.
    pub(super) fn value(&self, family: &str) -> Option<f64> {
        let mut series = self.series.iter();
        let found = series.find(|series| series.family.name == family);
        found.map(|series| series.value)
    }

    /// A query came to an end.
    pub(super) fn ended(&mut self, ended: Ended) {
        for family in FAMILIES {
            if let Value::Query(value) = family.value
                && let Some(value) = value(&ended)
            {
                self.replace(family, [(Vec::new(), value)]);
            }
        }
    }

    /// Whatever an earlier answer said, and this one does not, is gone.
    pub(super) fn answered(&mut self, answer: &Answer) {
        for family in FAMILIES {
            match family.value {
                Value::Query(_) => {}
                Value::Answer(value) => {
                    self.replace(family, value(answer).map(|value| (Vec::new(), value)));
                }
                Value::Labelled(_, rows) => self.replace(family, rows(answer)),
            }
        }
    }

    /// Takes up a series that was kept; one that does not fit its family, or is there already, is ignored.
    pub(super) fn restore(&mut self, series: Series) {
        let is_there = self
            .series
            .iter()
            .any(|known| known.family.name == series.family.name && known.labels == series.labels);
        if !is_there && series.labels.len() == series.family.labels().len() {
            self.series.push(series);
        }
    }

    fn replace(&mut self, family: &'static Family, rows: impl IntoIterator<Item = Row>) {
        self.series
            .retain(|series| series.family.name != family.name);
        let rows = rows.into_iter();
        self.series.extend(rows.map(|(labels, value)| Series {
            family,
            labels,
            value,
        }));
    }

    fn metrics(&self, family: &Family) -> impl Iterator<Item = Metric> {
        let series = self.series.iter();
        series
            .filter(|series| series.family.name == family.name)
            .map(|series| {
                let names = family.labels().iter().copied();
                let values = series.labels.iter().map(String::as_str);
                let mut labels: Vec<_> = names.zip(values).collect();
                labels.push(("store", &self.store));
                labels.sort_unstable();
                let mut gauge = Gauge::default();
                gauge.set_value(series.value);
                let mut metric = Metric::from_gauge(gauge);
                metric.set_label(labels.into_iter().map(pair).collect());
                metric
            })
    }
}

impl Collector for Gauges {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let stores = self.lock();
        let families = FAMILIES.iter().map(|family| {
            let metrics = stores.iter().flat_map(|known| known.metrics(family));
            let mut shown = MetricFamily::default();
            shown.set_name(family.name.to_owned());
            shown.set_help(family.help.to_owned());
            shown.set_field_type(MetricType::GAUGE);
            shown.set_metric(metrics.collect());
            shown
        });
        families.collect()
    }
}

fn pair((name, value): (&str, &str)) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}
