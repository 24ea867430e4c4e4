//! What the page says after queries, seen as text.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{EVENTS, EndedEvent, EndedQuery, LONGEST, Status, StoreMetrics, View};
use crate::{
    answer::{Answer, Code, Contents, Filesystem, Runtime},
    metrics::{Kept, Metrics, Query, TraceOutcome, Trigger},
};

const URL: &str = "cri+unix:///run/here.sock";

/// A page with one store.
struct Scene {
    status: Status,
    metrics: Metrics,
    store: StoreMetrics,
}

impl Scene {
    fn new() -> Self {
        let metrics = Metrics::new("0", "").expect("constant names");
        let store = metrics.store("cri", "cri", "unix:///run/here.sock");
        let status = Status::new(metrics.clone());
        status.add("cri", URL.to_owned(), store.clone());
        Self {
            status,
            metrics,
            store,
        }
    }

    fn answer(&self) {
        self.status.query_ended("cri", query(None));
        self.store.answered(&Answer::default(), Query::default());
    }

    fn fail(&self, why: &str) {
        self.status.query_ended("cri", query(Some(why)));
        self.store.failed(Code::UNAVAILABLE, Query::default());
    }

    /// When the current state began.
    fn since(&self) -> SystemTime {
        let (_, since) = self.status.lock().stores[0]
            .known()
            .expect("it was queried");
        since
    }

    /// When the last query ended.
    fn queried(&self) -> SystemTime {
        self.store.last_queries().expect("it was queried").queried
    }

    /// The text of the page, without its tags, an hour after now.
    fn text(&self) -> String {
        let later = SystemTime::now() + Duration::from_secs(3600);
        let html = self.html(later);
        let (_, body) = html.split_once("<body>").expect("it has a body");
        let parts = body.split('<').map(|part| part.split_once('>'));
        let text: String = parts
            .map(|part| part.map_or("", |(_, text)| text))
            .collect();
        text.replace('\u{a0}', " ")
    }

    fn html(&self, now: SystemTime) -> String {
        let view = View {
            trace_url: None,
            traces_lost: self.metrics.traces_lost(),
            host: "node1".to_owned(),
            now,
        };
        view.page(&self.status.lock())
    }

    #[track_caller]
    fn shows(&self, text: &str) {
        let page = self.text();
        assert!(page.contains(text), "{text:?} is not in {page:?}");
    }

    #[track_caller]
    fn does_not_show(&self, text: &str) {
        let page = self.text();
        assert!(!page.contains(text), "{text:?} is in {page:?}");
    }
}

fn query(failure: Option<&str>) -> EndedQuery {
    EndedQuery {
        at: SystemTime::now(),
        duration: Duration::from_millis(7),
        failure: failure.map(str::to_owned),
        trace_id: None,
    }
}

fn event(summary: &str) -> EndedEvent {
    EndedEvent {
        at: SystemTime::now(),
        trigger: Trigger::Signal,
        duration: Duration::from_millis(7),
        summary: summary.to_owned(),
        stores: 1,
        failures: 0,
        trace_id: None,
    }
}

#[test]
fn a_state_lasts_from_the_first_of_the_queries_that_ended_alike() {
    let scene = Scene::new();
    let mut since = Vec::new();
    for (seconds, failure) in [
        (1, None),
        (2, None),
        (3, Some("gone")),
        (4, Some("still")),
        (5, None),
    ] {
        let at = UNIX_EPOCH + Duration::from_secs(seconds);
        scene.status.query_ended(
            "cri",
            EndedQuery {
                at,
                ..query(failure)
            },
        );
        match failure {
            None => scene.store.answered(&Answer::default(), Query::default()),
            Some(_) => scene.store.failed(Code::UNAVAILABLE, Query::default()),
        }
        let began = scene.since().duration_since(UNIX_EPOCH);
        since.push(began.expect("after 1970").as_secs());
    }
    assert_eq!(since, [1, 1, 3, 3, 5]);
}

#[test]
fn the_state_and_the_numbers_of_the_previous_process_are_shown_with_their_age() {
    let before = Scene::new();
    before.answer();
    before.store.described(&Answer {
        runtime: Some(Runtime {
            name: "containerd".to_owned(),
            version: "2.4.2".to_owned(),
            api_version: "v1".to_owned(),
        }),
        ..Answer::default()
    });
    let kept = |scene: &Scene| Kept::new(vec![scene.store.clone()], scene.metrics.run().clone());
    let after = Scene::new();
    kept(&after)
        .restore(&kept(&before).record())
        .expect("a good record");
    after.shows("Stateup for 60 min");
    after.shows("Runtimecontainerd 2.4.2");
    after.shows("Images0");
    after.shows("Numbers60 min old");
    after.shows("Last query60 min ago, before the service was restarted");
    after.does_not_show("No store has been queried yet");
    let restored = after.queried();
    after.answer();
    assert_eq!(after.since(), restored);
}

#[test]
fn a_failure_shows_its_error_and_the_age_of_the_last_good_numbers() {
    let scene = Scene::new();
    scene.fail("refused");
    scene.shows("Numbersnone, because it has never answered");
    scene.answer();
    scene.shows("Last queryanswered in 7.0 ms, 60 min ago");
    scene.fail("gone");
    scene.shows("Statedown for 60 min");
    scene.shows("Images0");
    scene.shows("Last queryfailed after 7.0 ms, 60 min ago: gone");
    scene.shows("What to dojournalctl -x -u exp-rkt-grpc -n 10 IMAGESTORE_STORE=cri");
    scene.does_not_show("refused");
}

#[test]
fn before_the_first_query_the_page_says_so_unless_a_query_is_running() {
    let scene = Scene::new();
    scene.shows("No store has been queried yet.");
    scene.shows("Statenot queried yet");
    scene.status.event_began();
    scene.does_not_show("No store has been queried yet.");
    scene.shows("Statebeing queried");
    scene.shows("A query has been running for 60 min");
    scene.answer();
    scene.status.event_ended(event("cri: 0 images"));
    scene.does_not_show("has been running");
}

#[test]
fn the_last_ten_events_are_kept_latest_first() {
    let scene = Scene::new();
    for number in 0..=EVENTS {
        scene
            .status
            .event_ended(event(&format!("number {number}.")));
    }
    let text = scene.text();
    assert!(!text.contains("number 0."), "{text}");
    let places: Vec<_> = (1..=EVENTS)
        .map(|number| {
            text.find(&format!("number {number}."))
                .expect("it is shown")
        })
        .collect();
    assert!(
        places.is_sorted_by(|earlier, later| earlier > later),
        "{text}"
    );
}

#[test]
fn text_from_outside_is_escaped_and_cut() {
    let scene = Scene::new();
    let hostile = "<script>alert(1)</script>\"'&\u{202e}\n";
    scene.fail(&format!("{hostile}{}", "x".repeat(10 * LONGEST)));
    scene.status.event_ended(event(&hostile.repeat(LONGEST)));
    let html = scene.html(SystemTime::now());
    assert!(!html.contains("<script"), "{html}");
    let shown = "&lt;script&gt;alert(1)&lt;/script&gt;&quot;'&amp;\\u{202e}\\n";
    assert!(html.contains(shown), "{html}");
}

#[test]
fn times_that_have_no_form_are_left_out() {
    let scene = Scene::new();
    let late = Duration::from_secs(300_000_000_000);
    for at in [UNIX_EPOCH - Duration::from_secs(1), UNIX_EPOCH + late] {
        scene.status.event_ended(EndedEvent {
            at,
            ..event("strange")
        });
        scene.shows("ago, by signal7.0 ms");
    }
}

#[test]
fn stores_that_are_down_come_first_and_all_are_counted() {
    let scene = Scene::new();
    for name in ["gone", "new"] {
        let store = scene.metrics.store(name, "cri", "unix:///run/there.sock");
        scene.status.add(name, URL.to_owned(), store.clone());
        if name == "gone" {
            scene.status.query_ended(name, query(Some("refused")));
            store.failed(Code::UNAVAILABLE, Query::default());
        }
    }
    scene.answer();
    scene.shows("1 up, 1 down, 1 not queried yet.");
    let html = scene.html(SystemTime::now());
    assert!(html.contains("<title>1 up, 1 down, 1 not queried yet – exp-rkt-grpc on node1"));
    let places = ["gone", "cri", "new"].map(|name| html.find(&format!("<h3>{name}")));
    assert!(places.is_sorted() && places[0].is_some(), "{html}");
}

#[test]
fn lost_traces_are_counted() {
    let scene = Scene::new();
    scene.status.event_ended(event("cri: 0 images"));
    scene.does_not_show("could not be delivered");
    scene.metrics.trace_ended(TraceOutcome::Failed);
    scene.metrics.trace_ended(TraceOutcome::Dropped);
    scene.metrics.trace_ended(TraceOutcome::Dropped);
    scene.metrics.trace_ended(TraceOutcome::Exported);
    scene.shows("3 traces could not be delivered: journalctl -u exp-rkt-grpc -g trace");
}

#[test]
fn what_is_left_on_the_file_system_is_shown() {
    let scene = Scene::new();
    scene.answer();
    scene.store.described(&Answer {
        filesystems: Some(vec![filesystem("/images")]),
        ..Answer::default()
    });
    scene.shows("Disk2.5 kB left at /images");
}

#[test]
fn names_and_unused_images_are_shown_if_the_store_reports_them() {
    let scene = Scene::new();
    scene.answer();
    scene.does_not_show("Names");
    scene.does_not_show("Unused");
    scene.store.described(&Answer {
        contents: Contents {
            images: None,
            names: Some(7),
            unused: Some(3),
            ..Contents::default()
        },
        ..Answer::default()
    });
    scene.shows("Names7");
    scene.shows("Unused3");
    scene.does_not_show("Images0");
}

#[test]
fn a_warning_of_the_last_answer_is_shown() {
    let scene = Scene::new();
    scene.answer();
    scene.does_not_show("Warning");
    scene.store.described(&Answer {
        warning: Some("out of cheese".to_owned()),
        ..Answer::default()
    });
    scene.shows("Warningjournalctl -u exp-rkt-grpc -g warning");
}

/// So that pages which 640 clients leave unread stay within the unit's `MemoryMax=`, as scrapes do.
#[test]
fn a_store_adds_less_than_three_kilobytes_whatever_it_sends() {
    let scene = Scene::new();
    let length = || scene.html(SystemTime::now()).len();
    let before = length();
    let quotes = "\"".repeat(10_000);
    let text = |limit| quotes[..limit].to_owned();
    scene.answer();
    let most = Some(u64::MAX);
    scene.store.described(&Answer {
        contents: Contents {
            images: most,
            names: most,
            unused: most,
            size_bytes: most,
            untagged: most,
            pinned: most,
            ..Contents::default()
        },
        runtime: Some(Runtime {
            name: text(256),
            version: text(256),
            api_version: text(256),
        }),
        filesystems: Some(
            (0..16)
                .map(|number| filesystem(&format!("/{number}{}", text(250))))
                .collect(),
        ),
        ..Answer::default()
    });
    scene.fail(&quotes);
    let of_store = length() - before;
    assert!(of_store < 3_000, "{of_store}");
    for _ in 0..EVENTS {
        scene.status.event_ended(event(&quotes));
    }
    let of_events = length() - of_store - before;
    assert!(of_events < EVENTS * 1_000, "{of_events}");
}

fn filesystem(mountpoint: &str) -> Filesystem {
    Filesystem {
        mountpoint: mountpoint.to_owned(),
        used_bytes: None,
        inodes_used: None,
        size_bytes: Some(5_000),
        avail_bytes: Some(2_500),
    }
}

/// The longest one: what an operator sees who has configured nothing.
#[test]
fn our_own_advice_is_not_cut() {
    let advice = "cannot connect to http://127.0.0.1:15441: Connection refused (os error 111); no store is configured, and rkt, the default, is not there. To query containerd, set EXP_RKT_GRPC_STORE=cri+unix:///run/containerd/containerd.sock in /etc/default/exp-rkt-grpc, copy /usr/share/doc/exp-rkt-grpc/examples/cri.conf to /etc/systemd/system/exp-rkt-grpc.service.d, then systemctl daemon-reload and systemctl restart exp-rkt-grpc";
    let scene = Scene::new();
    scene.fail(advice);
    scene.shows(advice);
}
