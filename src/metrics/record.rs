//! The gauges as a small versioned record, to outlive the process.
//!
//! JSON: `{"version": 1, "gauges": [[NAME, [STORE, LABEL…], VALUE], …]}`. Counters are not in it: they count what one process has
//! seen, and Prometheus knows how to deal with their reset.

use serde_json::{Value, json};
use thiserror::Error;

use super::{families::StoreFamilies, gauges::Series};

/// Written by this version of the program; higher ones are not read.
const VERSION: u64 = 1;

/// Why a record is of no use.
#[derive(Debug, Error)]
pub enum RecordError {
    /// It is no JSON.
    #[error("it is not JSON")]
    Syntax(#[from] serde_json::Error),
    /// It is JSON, but not of this form.
    #[error("it is not a list of gauges")]
    Form,
    /// A later version of the program has written it.
    #[error("it has version {0}, and this program reads {VERSION}")]
    Version(u64),
}

pub(super) fn write(families: &StoreFamilies) -> Vec<u8> {
    let gauges: Vec<Value> = families
        .gauges()
        .into_iter()
        .flat_map(|gauges| {
            let series = gauges.series().into_iter();
            series.map(|Series { labels, value }| json!([gauges.name(), labels, value]))
        })
        .collect();
    json!({ "version": VERSION, "gauges": gauges })
        .to_string()
        .into_bytes()
}

/// Sets what the record says of the stores that there are; families that are not known any more are passed over.
pub(super) fn read(
    record: &[u8],
    families: &StoreFamilies,
    stores: &[&str],
) -> Result<(), RecordError> {
    let record: Value = serde_json::from_slice(record)?;
    match record["version"].as_u64() {
        Some(VERSION) => {}
        Some(version) => return Err(RecordError::Version(version)),
        None => return Err(RecordError::Form),
    }
    let gauges = record["gauges"].as_array().ok_or(RecordError::Form)?;
    let gauges: Vec<(&str, Vec<&str>, f64)> = gauges
        .iter()
        .map(gauge)
        .collect::<Option<_>>()
        .ok_or(RecordError::Form)?;
    for (name, labels, value) in gauges {
        let family = families
            .gauges()
            .into_iter()
            .find(|family| family.name() == name);
        let configured = labels.first().is_some_and(|store| stores.contains(store));
        if let Some(family) = family.filter(|_| configured) {
            family.set(&labels, value);
        }
    }
    Ok(())
}

fn gauge(gauge: &Value) -> Option<(&str, Vec<&str>, f64)> {
    let labels = gauge[1].as_array()?.iter().map(Value::as_str);
    Some((
        gauge[0].as_str()?,
        labels.collect::<Option<_>>()?,
        gauge[2].as_f64()?,
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::RecordError;
    use crate::metrics::{Contents, Metrics};

    fn metrics() -> Metrics {
        Metrics::new("0", "").expect("constant names")
    }

    fn imagestore(metrics: &Metrics) -> Vec<String> {
        let text = String::from_utf8(metrics.encode().expect("encodable")).expect("text");
        let gauges = text.lines().filter(|line| {
            line.starts_with("imagestore_")
                && !line.contains("_total")
                && !line.contains("duration")
        });
        gauges.map(str::to_owned).collect()
    }

    fn answered() -> Metrics {
        let metrics = metrics();
        let contents = Contents {
            images: 3,
            size_bytes: 1 << 52,
            registries: vec![("a.example", 2), ("(other)", 1)],
            ..Contents::default()
        };
        metrics.store("kept").answered(&contents, Duration::ZERO);
        metrics.store("dropped").answered(&contents, Duration::ZERO);
        metrics
    }

    #[test]
    fn what_was_recorded_is_what_is_read_of_the_stores_that_are_left() {
        let before = answered();
        let after = metrics();
        after
            .restore(&before.record(), &["kept"])
            .expect("a good record");
        let expected: Vec<String> = imagestore(&before)
            .into_iter()
            .filter(|line| line.contains("\"kept\""))
            .collect();
        assert!(expected.len() > 5, "{expected:?}");
        assert_eq!(imagestore(&after), expected);
    }

    #[test]
    fn a_record_that_is_too_new_or_broken_changes_nothing() {
        let metrics = metrics();
        let too_new = br#"{"version": 2, "gauges": [["imagestore_images", ["kept"], 1]]}"#;
        let outcome = metrics.restore(too_new, &["kept"]);
        assert!(
            matches!(outcome, Err(RecordError::Version(2))),
            "{outcome:?}"
        );
        for broken in [
            &b"{"[..],
            b"[]",
            br#"{"version": 1}"#,
            br#"{"version": 1, "gauges": [["imagestore_images", ["kept"], 1], ["x"]]}"#,
        ] {
            metrics.restore(broken, &["kept"]).expect_err("broken");
        }
        assert_eq!(imagestore(&metrics), Vec::<String>::new());
    }

    #[test]
    fn a_series_that_was_restored_goes_when_the_store_answers_anew() {
        let metrics = metrics();
        metrics
            .restore(&answered().record(), &["kept"])
            .expect("a good record");
        metrics
            .store("kept")
            .answered(&Contents::default(), Duration::ZERO);
        assert!(
            !imagestore(&metrics)
                .iter()
                .any(|line| line.contains("a.example"))
        );
    }
}
