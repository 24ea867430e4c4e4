//! The gauges of all stores, and their collector.

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
    stores: Arc<Mutex<Vec<StoreGauges>>>,
}

/// The gauges of one store.
#[derive(Debug)]
pub(super) struct StoreGauges {
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

    /// Adds a store without any series.
    pub(super) fn add(&self, store: &str) {
        self.lock().push(StoreGauges {
            store: store.to_owned(),
            series: Vec::new(),
        });
    }

    /// Passes the gauges of a store to `work`; `None` if the store was not added.
    pub(super) fn with<T>(
        &self,
        store: &str,
        work: impl FnOnce(&mut StoreGauges) -> T,
    ) -> Option<T> {
        let mut stores = self.lock();
        let gauges = stores.iter_mut().find(|gauges| gauges.store == store)?;
        Some(work(gauges))
    }

    /// The closures and the rows of the table that run while the lock is held do not panic.
    fn lock(&self) -> MutexGuard<'_, Vec<StoreGauges>> {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoreGauges {
    pub(super) fn series(&self) -> &[Series] {
        &self.series
    }

    /// The value of a family without labels besides `store`.
    pub(super) fn value(&self, family: &str) -> Option<f64> {
        self.labelled(family).next().map(|(_, value)| value)
    }

    /// The series of a family: the values of the labels besides `store`, and the number.
    pub(super) fn labelled(&self, family: &str) -> impl Iterator<Item = (&[String], f64)> {
        let series = self.series.iter();
        series
            .filter(move |series| series.family.name == family)
            .map(|series| (&*series.labels, series.value))
    }

    /// Updates the families that depend on how a query ended.
    pub(super) fn ended(&mut self, ended: Ended) {
        for family in FAMILIES {
            if let Value::Query(value) = family.value
                && let Some(value) = value(&ended)
            {
                self.replace(family, [(Vec::new(), value)]);
            }
        }
    }

    /// Replaces all numbers of earlier answers.
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

    /// Adds a kept series, unless it does not fit its family or is already present.
    pub(super) fn restore(&mut self, series: Series) {
        let is_present = self
            .series
            .iter()
            .any(|other| other.family.name == series.family.name && other.labels == series.labels);
        if !is_present && series.labels.len() == series.family.labels().len() {
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
            let metrics = stores.iter().flat_map(|gauges| gauges.metrics(family));
            let mut output = MetricFamily::default();
            output.set_name(family.name.to_owned());
            output.set_help(family.help.to_owned());
            output.set_field_type(MetricType::GAUGE);
            output.set_metric(metrics.collect());
            output
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
