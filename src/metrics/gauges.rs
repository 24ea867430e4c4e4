//! A family of gauges whose first label is the store.

use std::iter;

use prometheus::{GaugeVec, Opts, Registry, Result, core::Collector, proto::Metric};

/// The label that all of them have.
const STORE: &str = "store";

/// A family of gauges whose first label is the store. Copies share their values.
#[derive(Clone, Debug)]
pub(super) struct Gauges {
    family: GaugeVec,
    name: &'static str,
    labels: &'static [&'static str],
}

/// One series of a store: the values of the labels behind the store's name, in the family's order, and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    pub(super) labels: Vec<String>,
    pub(super) value: f64,
}

impl Gauges {
    pub(super) fn register(
        registry: &Registry,
        name: &'static str,
        help: &str,
        labels: &'static [&'static str],
    ) -> Result<Self> {
        debug_assert_eq!(labels.first(), Some(&STORE));
        let family = GaugeVec::new(Opts::new(name, help), labels)?;
        registry.register(Box::new(family.clone()))?;
        Ok(Self {
            family,
            name,
            labels,
        })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The store's series are these and no others; each row has the values of the labels behind the store's name.
    pub(super) fn replace<'a>(
        &self,
        store: &str,
        rows: impl IntoIterator<Item = (Vec<&'a str>, f64)>,
    ) {
        for series in self.series_of(store) {
            let labels = series.labels.iter().map(String::as_str);
            let labels: Vec<&str> = iter::once(store).chain(labels).collect();
            // What was listed a moment ago is there.
            let _ = self.family.remove_label_values(&labels);
        }
        for (labels, value) in rows {
            self.set(store, &labels, value);
        }
    }

    /// Sets one series of the store; values that do not fit the family's labels are ignored.
    pub(super) fn set(&self, store: &str, labels: &[&str], value: f64) {
        let labels = [&[store], labels].concat();
        if let Ok(gauge) = self.family.get_metric_with_label_values(&labels) {
            gauge.set(value);
        }
    }

    pub(super) fn series_of(&self, store: &str) -> Vec<Series> {
        let families = self.family.collect();
        let metrics = families.iter().flat_map(|family| family.get_metric());
        metrics
            .filter(|metric| label(metric, STORE) == store)
            .map(|metric| Series {
                labels: self.labels[1..]
                    .iter()
                    .map(|name| label(metric, name).to_owned())
                    .collect(),
                value: metric.get_gauge().get_value(),
            })
            .collect()
    }
}

fn label<'a>(metric: &'a Metric, name: &str) -> &'a str {
    let mut labels = metric.get_label().iter();
    let pair = labels.find(|pair| pair.name() == name);
    pair.map_or("", |pair| pair.value())
}
