//! The simplest model of the metrics: for each store its last success, and whether a query has failed since.

use std::collections::BTreeMap;

use lab::exposition::{Sample, Scrape};
use lab::stand_in::code_name;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use tonic::Code;

use super::Configured;
use super::world::{List, NOBODY, Plan, RKT, Side, World};

/// A family and the values of its labels by name, with or without the label `store`.
type Series = (String, BTreeMap<String, String>);

/// Families that are checked separately, since their values vary between runs.
const TIMES: [&str; 2] = [
    "imagestore_last_query_timestamp_seconds",
    "imagestore_last_success_timestamp_seconds",
];

/// The state of a store that has answered or failed, in this process or an earlier one.
#[derive(Clone, Debug, Default)]
struct Known {
    up: f64,
    /// All numbers of the last success.
    success: Option<BTreeMap<Series, f64>>,
    /// The time of the last success; `None` until a scrape shows it.
    success_time: Option<f64>,
    query_time: Option<f64>,
    /// The time of the query before the last one.
    earlier_time: Option<f64>,
}

#[derive(Clone, Debug)]
struct Store {
    name: &'static str,
    address: usize,
    /// Kind and address, as the program shows them.
    url: String,
    known: Option<Known>,
    /// Queries of this process.
    queries: u64,
    failures: BTreeMap<String, u64>,
}

/// A process, and the numbers that it keeps for the next one.
pub(super) struct Model {
    stores: Vec<Store>,
    kept: Vec<Store>,
    dropped: Vec<usize>,
}

impl Model {
    /// The first process.
    pub(super) fn begin(configured: &[Configured], world: &World) -> Self {
        Self {
            stores: Store::all(configured, world),
            kept: Vec::new(),
            dropped: Vec::new(),
        }
    }

    /// Another process with these settings.
    pub(super) fn restart(&mut self, configured: &[Configured], world: &World) {
        self.stores = Store::all(configured, world);
        let mut left = self.kept.clone();
        for namesakes_only in [true, false] {
            for store in &mut self.stores {
                let fits = |kept: &Store| {
                    kept.address == store.address && (kept.name == store.name || !namesakes_only)
                };
                if store.known.is_none()
                    && let Some(place) = left.iter().position(fits)
                {
                    store.known = left.remove(place).known;
                }
            }
        }
        self.dropped = left.iter().map(|kept| kept.address).collect();
    }

    /// The addresses of the stores that the last restart has dropped.
    pub(super) fn dropped(&self) -> &[usize] {
        &self.dropped
    }

    /// Keeps the current state for the next process.
    pub(super) fn keep(&mut self) {
        self.kept = self.stores.clone();
        self.kept.retain(|store| store.known.is_some());
    }

    /// Every store has followed its plan, except for calls that hang.
    pub(super) fn query(&mut self, plans: &[Plan]) {
        for store in &mut self.stores {
            store.query(&plans[store.address]);
        }
    }

    /// Whether a list hangs.
    pub(super) fn waits(&self, plans: &[Plan]) -> bool {
        let lists = self.stores.iter().filter(|store| store.address != NOBODY);
        lists
            .map(|store| plans[store.address].list)
            .any(|list| list == List::Hangs)
    }

    /// The scrape shows exactly this state.
    pub(super) fn check(&mut self, scrape: &Scrape) -> TestCaseResult {
        let shown: BTreeMap<Series, f64> = scrape
            .families
            .iter()
            .filter(|family| family.name.starts_with("imagestore_"))
            .filter(|family| family.name != "imagestore_query_duration_seconds")
            .filter(|family| !TIMES.contains(&family.name.as_str()))
            .flat_map(|family| &family.samples)
            .filter(|sample| {
                // All codes are present from the start, with the value 0.
                sample.name != "imagestore_query_failures_total" || sample.value != 0.0
            })
            .map(|sample: &Sample| ((sample.name.clone(), sample.labels.clone()), sample.value))
            .collect();
        let expected: BTreeMap<Series, f64> = self.stores.iter().flat_map(Store::shown).collect();
        prop_assert_eq!(shown, expected);
        for store in &mut self.stores {
            store.check_times(scrape)?;
        }
        Ok(())
    }
}

impl Store {
    fn all(configured: &[Configured], world: &World) -> Vec<Self> {
        let unknown = |store| Self::unknown(store, world);
        configured.iter().map(unknown).collect()
    }

    fn unknown(configured: &Configured, world: &World) -> Self {
        Self {
            name: configured.name,
            address: configured.address,
            url: world.url(configured.address),
            known: None,
            queries: 0,
            failures: BTreeMap::new(),
        }
    }

    fn query(&mut self, plan: &Plan) {
        let failure = match plan.list {
            _ if self.address == NOBODY => Some(Code::Unavailable),
            List::Hangs => return,
            List::Fails(code) => Some(code),
            List::Answers => None,
        };
        self.queries += 1;
        let known = self.known.get_or_insert_default();
        known.earlier_time = known.query_time.take().or(known.earlier_time);
        match failure {
            Some(failure) => {
                known.up = 0.0;
                *self.failures.entry(code_name(failure)).or_default() += 1;
            }
            None => {
                known.up = 1.0;
                known.success = Some(numbers(plan, self.address));
                known.success_time = None;
            }
        }
    }

    /// All expected samples except for the times.
    fn shown(&self) -> Vec<(Series, f64)> {
        let (kind, address) = self.url.split_once('+').expect("the URL has a kind");
        let info = series("imagestore_info", &[("kind", kind), ("address", address)]);
        let queries = series("imagestore_queries_total", &[]);
        let mut shown = vec![(info, 1.0), (queries, self.queries as f64)];
        for (code, &count) in &self.failures {
            let failures = series("imagestore_query_failures_total", &[("code", code)]);
            shown.push((failures, count as f64));
        }
        if let Some(known) = &self.known {
            shown.push((series("imagestore_up", &[]), known.up));
            shown.extend(known.success.clone().into_iter().flatten());
        }
        for ((_, labels), _) in &mut shown {
            labels.insert("store".to_owned(), self.name.to_owned());
        }
        shown
    }

    fn check_times(&mut self, scrape: &Scrape) -> TestCaseResult {
        let labels = [("store", self.name)];
        let count = scrape.value("imagestore_query_duration_seconds_count", &labels);
        prop_assert_eq!(count.unwrap_or(0.0), self.queries as f64);

        let [query, success] = TIMES.map(|family| scrape.value(family, &labels));
        let Some(known) = &mut self.known else {
            prop_assert_eq!((query, success), (None, None));
            return Ok(());
        };
        prop_assert!(query.is_some());
        prop_assert_ne!(query, known.earlier_time);
        // The time of a query that has just ended is taken from the scrape.
        let is_new = known.query_time.is_none();
        prop_assert_eq!(query, known.query_time.or(query));
        known.query_time = query;
        let expected = match (&known.success, known.success_time) {
            (None, _) => None,
            (Some(_), None) if is_new => query,
            (Some(_), time) => time,
        };
        prop_assert_eq!(success, expected);
        known.success_time = expected;
        Ok(())
    }
}

fn series(family: &str, labels: &[(&str, &str)]) -> Series {
    let labels = labels.iter();
    let labels = labels.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    (family.to_owned(), labels.collect())
}

/// The numbers of a good answer.
fn numbers(plan: &Plan, address: usize) -> BTreeMap<Series, f64> {
    let mut numbers = list_numbers(plan, address);
    numbers.extend(runtime_numbers(plan, address));
    numbers.extend(filesystem_numbers(plan, address));
    numbers.into_iter().collect()
}

fn number(family: &str, labels: &[(&str, &str)], value: f64) -> (Series, f64) {
    (series(family, labels), value)
}

/// The numbers of the list of images.
fn list_numbers(plan: &Plan, address: usize) -> Vec<(Series, f64)> {
    /// The bytes before each gRPC message.
    const PREFIX: u64 = 5;
    let mut numbers = Vec::new();
    let (images, bytes, largest, response) = if address == RKT {
        let totals = plan.rkt_images().totals();
        for (family, time) in [
            ("imagestore_oldest_image_timestamp_seconds", totals.oldest),
            ("imagestore_newest_image_timestamp_seconds", totals.newest),
        ] {
            numbers.push(number(family, &[], time as f64));
        }
        (
            totals.count,
            totals.size_bytes,
            totals.largest,
            totals.encoded_bytes,
        )
    } else {
        let totals = plan.cri_images().totals();
        for (family, images) in [
            ("imagestore_untagged_images", totals.untagged),
            ("imagestore_pinned_images", totals.pinned),
        ] {
            numbers.push(number(family, &[], images as f64));
        }
        if let Some(unused) = plan.unused() {
            let bytes: u64 = unused.iter().sum();
            numbers.push(number("imagestore_unused_images", &[], unused.len() as f64));
            numbers.push(number(
                "imagestore_unused_images_size_bytes",
                &[],
                bytes as f64,
            ));
        }
        for (host, images) in plan.registries() {
            let labels = [("registry", host.as_str())];
            numbers.push(number("imagestore_registry_images", &labels, images as f64));
        }
        (
            totals.count,
            totals.size_bytes,
            totals.largest,
            totals.encoded_bytes,
        )
    };
    numbers.push(number("imagestore_warning", &[], 0.0));
    if images > 0 {
        numbers.push(number(
            "imagestore_largest_image_size_bytes",
            &[],
            largest as f64,
        ));
    }
    for (family, value) in [
        ("imagestore_images", images),
        ("imagestore_images_size_bytes", bytes),
        ("imagestore_response_bytes", response + PREFIX),
    ] {
        numbers.push(number(family, &[], value as f64));
    }
    numbers
}

fn runtime_numbers(plan: &Plan, address: usize) -> Option<(Series, f64)> {
    let Side::Answers(reported) = &plan.version else {
        return None;
    };
    let (runtime, api_version) = match address {
        RKT => ("rkt", reported.runtime.as_str()),
        _ => (reported.runtime.as_str(), "v1"),
    };
    let labels = [
        ("runtime", runtime),
        ("version", reported.version.as_str()),
        ("api_version", api_version),
    ];
    Some(number("imagestore_runtime_info", &labels, 1.0))
}

fn filesystem_numbers(plan: &Plan, address: usize) -> Vec<(Series, f64)> {
    let mut numbers = Vec::new();
    if let Side::Answers(filesystems) = &plan.filesystems
        && address != RKT
    {
        for (mountpoint, used, inodes) in filesystems {
            let values = [
                ("imagestore_filesystem_used_bytes", used),
                ("imagestore_filesystem_inodes_used", inodes),
            ];
            for (family, value) in values {
                let value = value.map(|value| value as f64);
                numbers.extend(
                    value.map(|value| number(family, &[("mountpoint", *mountpoint)], value)),
                );
            }
        }
    }
    numbers
}
