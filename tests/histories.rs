//! A property test: every exposed number belongs to the last successful query of the configured address. Random histories of
//! answers, failures, abandoned queries, restarts and changed settings are compared with a model.
//!
//! The program's own [`Observer`] queries stand-ins over the wire, and its metrics are compared as a scrape would show them.

use std::pin::pin;
use std::time::Duration;

use exp_rkt_grpc::metrics::{Coding, Format, Metrics};
use exp_rkt_grpc::observe::{Event, Observer, Trigger};
use lab::exposition::Scrape;
use lab::service::PATIENCE;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseResult;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tonic::Code;

#[path = "histories/model.rs"]
mod model;
#[path = "histories/world.rs"]
mod world;

use model::Model;
use world::{ADDRESSES, List, Plan, Runtime, Side, World};

/// A store in the configuration.
#[derive(Clone, Debug, PartialEq)]
struct Configured {
    name: &'static str,
    address: usize,
}

/// How a query ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The query ends by itself.
    Complete,
    /// The service stops, and gives the query up after the grace period.
    Abandoned,
    /// The process is killed during the query, and another one is started.
    Killed,
}

#[derive(Clone, Debug)]
enum Step {
    Query(Vec<Plan>, End),
    Restart(Vec<Configured>),
}

fn configuration() -> impl Strategy<Value = Vec<Configured>> {
    let names = Just(vec!["a", "b", "c"]).prop_shuffle();
    // One address is more likely than the others, so that stores are renamed or have a second name.
    let address = prop_oneof![1 => Just(0_usize), 2 => 0..ADDRESSES];
    (names, vec(address, 1..=3)).prop_map(|(names, addresses)| {
        let stores = names.into_iter().zip(addresses);
        stores
            .map(|(name, address)| Configured { name, address })
            .collect()
    })
}

/// `Cancelled` is a code that the store itself sends here.
const LIST_FAILURES: &[Code] = &[
    Code::Cancelled,
    Code::Unknown,
    Code::ResourceExhausted,
    Code::Unavailable,
];

const SIDE_CALL_FAILURES: &[Code] = &[
    Code::Unimplemented,
    Code::Unknown,
    Code::Unavailable,
    Code::Cancelled,
];

fn side_call<T: Clone + std::fmt::Debug>(
    answer: impl Strategy<Value = T>,
) -> impl Strategy<Value = Side<T>> {
    prop_oneof![
        3 => answer.prop_map(Side::Answers),
        2 => select(SIDE_CALL_FAILURES).prop_map(Side::Fails),
        1 => Just(Side::Hangs),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let list = prop_oneof![
        5 => Just(List::Answers),
        2 => select(LIST_FAILURES).prop_map(List::Fails),
        1 => Just(List::Hangs),
    ];
    let version = (select(vec!["one", "other"]), 0..3_u8).prop_map(|(runtime, version)| Runtime {
        runtime: runtime.to_owned(),
        version: version.to_string(),
    });
    let number = || proptest::option::of(0..1_000_u64);
    let filesystem = (
        select(vec!["/no such/a", "/no such/b", "/no such/c"]),
        number(),
        number(),
    );
    let filesystems = vec(filesystem, 0..3).prop_map(|mut filesystems| {
        filesystems.sort();
        filesystems.dedup_by_key(|(mountpoint, ..)| *mountpoint);
        filesystems
    });
    (
        1..6_usize,
        0..50_usize,
        list,
        side_call(version),
        side_call(filesystems),
        side_call(0..2_usize),
    )
        .prop_map(
            |(images, seed, list, version, filesystems, containers)| Plan {
                images,
                seed,
                list,
                version,
                filesystems,
                containers,
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    let end =
        prop_oneof![6 => Just(End::Complete), 2 => Just(End::Abandoned), 1 => Just(End::Killed)];
    let query = (vec(plan(), ADDRESSES), end).prop_map(|(plans, end)| {
        let plans = plans.into_iter().map(|plan| plan.ending(end));
        Step::Query(plans.collect(), end)
    });
    prop_oneof![
        3 => query,
        1 => configuration().prop_map(Step::Restart),
    ]
}

/// Successive processes, and the record that systemd keeps between them.
struct History {
    world: World,
    model: Model,
    configured: Vec<Configured>,
    metrics: Metrics,
    observer: Observer,
    record: Option<Vec<u8>>,
}

impl History {
    fn begin(configured: Vec<Configured>) -> Self {
        let world = World::new();
        let (metrics, observer) = world.process(&configured);
        Self {
            model: Model::begin(&configured, &world),
            world,
            configured,
            metrics,
            observer,
            record: None,
        }
    }

    fn check(&mut self) -> TestCaseResult {
        self.model.check(&scrape(&self.metrics))
    }

    fn restart(&mut self, configured: Vec<Configured>) -> TestCaseResult {
        (self.metrics, self.observer) = self.world.process(&configured);
        self.model.restart(&configured, &self.world);
        self.configured = configured;
        let mut dropped = Vec::new();
        if let Some(record) = &self.record {
            let kept = self.observer.kept();
            dropped = kept.restore(record).expect("the record has this version");
        }
        let urls = self.model.dropped().iter().map(|&at| self.world.url(at));
        let mut expected: Vec<String> = urls.collect();
        dropped.sort();
        expected.sort();
        prop_assert_eq!(dropped, expected);
        self.check()
    }

    async fn query(&mut self, plans: &[Plan], end: End) -> TestCaseResult {
        self.world.follow(plans);
        let Some(event) = self.observe(plans, end).await? else {
            self.check()?;
            return self.restart(self.configured.clone());
        };
        prop_assert_eq!(event.was_abandoned(), self.model.waits(plans));
        if !event.is_void() {
            self.record = Some(self.observer.kept().record());
            self.model.keep();
        }
        self.check()
    }

    /// `None` if the process was killed before the query ended.
    async fn observe(&mut self, plans: &[Plan], end: End) -> Result<Option<Event>, TestCaseError> {
        let reached = self.world.reached(&self.configured, plans, &self.metrics);
        let abandoned = CancellationToken::new();
        let mut event = pin!(self.observer.observe(Trigger::Signal, abandoned.clone()));
        tokio::select! {
            event = event.as_mut() => {
                self.model.query(plans);
                return Ok(Some(event));
            }
            () = reached => {}
        }
        // Lists that have arrived are shown; calls that hang have no effect yet.
        self.model.query(plans);
        self.model.check(&scrape(&self.metrics))?;
        abandoned.cancel();
        Ok(match end {
            End::Killed => None,
            End::Complete | End::Abandoned => Some(event.await),
        })
    }
}

fn scrape(metrics: &Metrics) -> Scrape {
    let text = metrics
        .encode(Format::Text, Coding::Identity)
        .expect("the metrics can be encoded");
    let text = String::from_utf8(text).expect("the exposition is UTF-8");
    Scrape::parse(&text).expect("the exposition is valid")
}

/// Waits until `reached`; panics after [`PATIENCE`].
async fn until(reached: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached() {
        assert!(
            Instant::now() < deadline,
            "the query did not get there in time"
        );
        sleep(Duration::from_millis(1)).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_number_belongs_to_the_last_successful_query_of_the_configured_address(
        configured in configuration(),
        steps in vec(step(), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be created");
        runtime.block_on(async {
            let mut history = History::begin(configured);
            history.check()?;
            for step in steps {
                match step {
                    Step::Query(plans, end) => history.query(&plans, end).await?,
                    Step::Restart(configured) => history.restart(configured)?,
                }
            }
            Ok::<(), TestCaseError>(())
        })?;
    }
}
