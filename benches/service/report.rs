//! Medians, bars, and tables in Markdown.

use std::{fs, time::Duration};

/// Collects the comparisons with the bars, and prints tables.
pub(crate) struct Report {
    bars: Vec<String>,
    load: String,
}

impl Report {
    pub(crate) fn begin() -> Self {
        Self {
            bars: Vec::new(),
            load: load(),
        }
    }

    /// Prints a table at once.
    pub(crate) fn table(&self, title: &str, head: &[&str], rows: &[Vec<String>]) {
        println!("\n### {title}\n");
        println!("| {} |", head.join(" | "));
        println!("|{}", " --- |".repeat(head.len()));
        for row in rows {
            println!("| {} |", row.join(" | "));
        }
    }

    /// Warns that something was not measured, and adds it to the bars.
    pub(crate) fn skipped(&mut self, what: &str, why: &str) {
        eprintln!("\n*** NOT MEASURED: {what}: {why}\n");
        self.bars
            .push(format!("| {what} | not measured: {why} | | |"));
    }

    /// `measured` must not exceed `bar`.
    pub(crate) fn at_most(&mut self, what: &str, measured: f64, bar: f64, unit: &str) {
        self.bar(
            what,
            measured,
            &format!("≤ {}{unit}", bound(bar)),
            measured <= bar,
            unit,
        );
    }

    /// `measured` must not be below `bar`.
    pub(crate) fn at_least(&mut self, what: &str, measured: f64, bar: f64, unit: &str) {
        self.bar(
            what,
            measured,
            &format!("≥ {}{unit}", bound(bar)),
            measured >= bar,
            unit,
        );
    }

    fn bar(&mut self, what: &str, measured: f64, bar: &str, met: bool, unit: &str) {
        let met = if met { "met" } else { "**not met**" };
        self.bars.push(format!(
            "| {what} | {}{unit} | {bar} | {met} |",
            figure(measured)
        ));
    }

    pub(crate) fn finish(self) {
        if !self.bars.is_empty() {
            println!("\n### Bars\n");
            println!("| | measured | bar | |\n| --- | --- | --- | --- |");
        }
        for bar in &self.bars {
            println!("{bar}");
        }
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        println!(
            "\n{cores} cores; load averages (1, 5, 15 minutes) before: {}, after: {}.",
            self.load,
            load()
        );
    }
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Three significant digits: the measurements are not more precise.
pub(crate) fn figure(number: f64) -> String {
    match number.abs() {
        100.0.. => format!("{number:.0}"),
        10.0.. => format!("{number:.1}"),
        1.0.. => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

/// Without trailing zeros.
fn bound(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(crate) fn milliseconds(duration: Duration) -> String {
    figure(duration.as_secs_f64() * 1e3)
}

pub(crate) fn microseconds(duration: Duration) -> String {
    figure(duration.as_secs_f64() * 1e6)
}

/// From KiB.
pub(crate) fn mebibytes(kibibytes: u64) -> String {
    format!("{:.2}", kibibytes as f64 / 1024.0)
}

pub(crate) fn median<T: Copy + Ord>(values: &[T]) -> T {
    quantile(values, 0.5)
}

/// The value that this share of the values does not exceed. Panics without values.
pub(crate) fn quantile<T: Copy + Ord>(values: &[T], share: f64) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

pub(crate) fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}
