//! OpenMetrics 1.0.0, which the `prometheus` crate does not write: <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
//!
//! The text ends with [`END`]. A histogram's buckets have exemplars. There are no `_created` samples, because Prometheus stores
//! them as series of their own.

use std::fmt::{self, Write as _};

use prometheus::{
    Error, Result,
    proto::{Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

use super::exemplars::{Exemplar, Exemplars};

/// The last line of the format.
pub(super) const END: &str = "# EOF\n";

/// The units that names of families end with, for `# UNIT`.
const UNITS: [&str; 2] = ["bytes", "seconds"];

/// Appends the families to `text`, with the exemplars of the only histogram, the duration of queries.
///
/// # Errors
///
/// When a family is a summary or has no type, or when the name of a counter does not end with `_total`: this service has none of
/// these.
pub(super) fn encode(
    families: &[MetricFamily],
    exemplars: Option<&Exemplars>,
    text: &mut String,
) -> Result<()> {
    for family in families {
        let form = Form::of(family)?;
        form.describe(family.help(), text);
        for metric in family.get_metric() {
            match form.kind {
                Kind::Counter => form.sample(metric, metric.get_counter().get_value(), text),
                Kind::Gauge | Kind::Info => {
                    form.sample(metric, metric.get_gauge().get_value(), text)
                }
                Kind::Histogram => {
                    let mut labels = metric.get_label().iter();
                    let store = labels.find(|label| label.name() == "store");
                    let exemplars = exemplars.zip(store);
                    let exemplars = exemplars.map(|(all, store)| all.of(store.value()));
                    histogram(form.family, metric, exemplars.unwrap_or_default(), text);
                }
            }
        }
    }
    Ok(())
}

/// A family in OpenMetrics' terms.
struct Form<'a> {
    kind: Kind,
    /// The family's name, without the suffix of its samples.
    family: &'a str,
    /// The name of its samples, except a histogram's.
    sample: &'a str,
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

impl<'a> Form<'a> {
    fn of(family: &'a MetricFamily) -> Result<Self> {
        let sample = family.name();
        let of_counter = sample.strip_suffix("_total");
        let of_info = sample.strip_suffix("_info");
        let (kind, family) = match (family.get_field_type(), of_counter, of_info) {
            (MetricType::COUNTER, Some(counter), _) => (Kind::Counter, counter),
            (MetricType::GAUGE, _, Some(info)) => (Kind::Info, info),
            (MetricType::GAUGE, _, None) => (Kind::Gauge, sample),
            (MetricType::HISTOGRAM, ..) => (Kind::Histogram, sample),
            _ => {
                return Err(Error::Msg(format!(
                    "OpenMetrics has no family such as {sample}"
                )));
            }
        };
        Ok(Self {
            kind,
            family,
            sample,
        })
    }

    fn describe(&self, help: &str, text: &mut String) {
        let Self { family, .. } = self;
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Info => "info",
        };
        line(text, format_args!("# TYPE {family} {kind}"));
        let ends_with = |unit: &&&str| {
            let rest = family.strip_suffix(**unit);
            rest.is_some_and(|rest| rest.ends_with('_'))
        };
        if let Some(unit) = UNITS.iter().find(ends_with) {
            line(text, format_args!("# UNIT {family} {unit}"));
        }
        line(text, format_args!("# HELP {family} {}", Escaped(help)));
    }

    fn sample(&self, metric: &Metric, value: f64, text: &mut String) {
        let labels = Labels(metric.get_label(), None);
        line(
            text,
            format_args!("{}{labels} {}", self.sample, Number(value)),
        );
    }
}

fn histogram(name: &str, metric: &Metric, exemplars: &[Option<Exemplar>], text: &mut String) {
    let histogram: &Histogram = metric.get_histogram();
    let count = histogram.get_sample_count();
    let buckets = histogram.get_bucket().iter();
    let buckets = buckets.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
    let mut exemplars = exemplars.iter();
    for (bound, count) in buckets.chain([(f64::INFINITY, count)]) {
        let labels = Labels(metric.get_label(), Some(bound));
        let exemplar = exemplars.next().and_then(Option::as_ref);
        match exemplar {
            Some(exemplar) => line(
                text,
                format_args!("{name}_bucket{labels} {count} # {exemplar}"),
            ),
            None => line(text, format_args!("{name}_bucket{labels} {count}")),
        }
    }
    let labels = Labels(metric.get_label(), None);
    let sum = Number(histogram.get_sample_sum());
    line(text, format_args!("{name}_sum{labels} {sum}"));
    line(text, format_args!("{name}_count{labels} {count}"));
}

/// Appends a line. Writing to a `String` never fails.
fn line(text: &mut String, line: fmt::Arguments<'_>) {
    let _ = writeln!(text, "{line}");
}

/// The labels of a sample, with the upper bound of a bucket.
struct Labels<'a>(&'a [LabelPair], Option<f64>);

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut start = '{';
        for label in self.0 {
            write!(f, "{start}{}=\"{}\"", label.name(), Escaped(label.value()))?;
            start = ',';
        }
        if let Some(bound) = self.1 {
            write!(f, "{start}le=\"{}\"", Bound(bound))?;
            start = ',';
        }
        if start == '{' {
            Ok(())
        } else {
            f.write_char('}')
        }
    }
}

/// The upper bound of a bucket: always a floating-point number, `1.0` and not `1`.
struct Bound(f64);

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == f64::INFINITY {
            return f.write_str("+Inf");
        }
        write!(f, "{:?}", self.0)
    }
}

/// A sample's value.
pub(super) struct Number(pub(super) f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            number => write!(f, "{number}"),
        }
    }
}

/// HELP, or the value of a label.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['\\', '"', '\n']) {
            f.write_str(&rest[..at])?;
            f.write_str(match rest.as_bytes()[at] {
                b'\\' => r"\\",
                b'"' => r#"\""#,
                _ => r"\n",
            })?;
            rest = &rest[at + 1..];
        }
        f.write_str(rest)
    }
}
