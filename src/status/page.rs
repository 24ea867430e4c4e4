//! The status page in HTML: readable without styles, in a terminal's browser too. It has no script.
//!
//! `maud` escapes all text. [`shown`] removes what that leaves, and bounds the length of text from outside.

use std::{
    process,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{EVENTS, EndedEvent, State, StoreStatus, TraceUrl, shown};
use crate::{
    REVISION,
    metrics::LastQueries,
    units::{age, duration, size},
    words::counted,
};

/// Permits the page's own style sheet and nothing else. After a change of `page.css`, `tests/page.rs` fails and names its hash.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'sha256-XUSCOGv/Ks/I+VGjzlaMl71/iznJP44HOvELLkVJiv8='; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Number of file systems that are shown for a store; runtimes have one.
const DISKS: usize = 2;

/// Longest runtime and mount point, in bytes of HTML.
const LONGEST_LABEL: usize = 300;

const STYLE: &str = include_str!("page.css");

/// What all parts of a page need.
pub(super) struct View<'a> {
    /// Where trace ids lead.
    pub(super) trace_url: Option<&'a TraceUrl>,
    /// Traces that were not delivered.
    pub(super) traces_lost: u64,
    /// The name of the host.
    pub(super) host: String,
    pub(super) now: SystemTime,
}

/// How many stores are in each state.
#[derive(Default)]
struct Counts {
    up: u64,
    down: u64,
    never_queried: u64,
}

impl Counts {
    fn of(state: &State) -> Self {
        let mut counts = Self::default();
        for store in &state.stores {
            match store.known() {
                Some((last, _)) if last.up => counts.up += 1,
                Some(_) => counts.down += 1,
                None => counts.never_queried += 1,
            }
        }
        counts
    }

    fn sentence(&self) -> String {
        let counts = [
            (self.up, "up"),
            (self.down, "down"),
            (self.never_queried, "not queried yet"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<_> = counts
            .map(|(count, state)| format!("{count} {state}"))
            .collect();
        counts.join(", ")
    }
}

fn version() -> String {
    match REVISION {
        "" => env!("CARGO_PKG_VERSION").to_owned(),
        revision => format!("{} ({revision})", env!("CARGO_PKG_VERSION")),
    }
}

fn triggers(was_queried: bool) -> Markup {
    html! {
        section aria-labelledby="triggers" {
            h2 #triggers { "Query now" }
            @if !was_queried { p { strong { "No store has been queried yet." } } }
            pre { code { "systemctl kill -s SIGQUIT exp-rkt-grpc" } }
            p { "Without systemd: " code { "kill -s QUIT " (process::id()) } }
            p { "Every five minutes:" }
            pre { code { "systemctl enable --now exp-rkt-grpc-query.timer" } }
        }
    }
}

impl View<'_> {
    pub(super) fn page(&self, state: &State) -> String {
        let counts = Counts::of(state);
        let was_queried = counts.up + counts.down > 0 || state.running.is_some();
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    // Browsers ask for /favicon.ico otherwise.
                    link rel="icon" href="data:,";
                    title { (counts.sentence()) " – exp-rkt-grpc on " (self.host) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        h1 { "exp-rkt-grpc on " (self.host) }
                        p { "Version " (version()) ", running for " (self.age(state.started)) (time("since ", state.started)) }
                    }
                    main {
                        @if !was_queried { (triggers(was_queried)) }
                        (self.stores(state, &counts))
                        (self.events(state))
                        @if was_queried { (triggers(was_queried)) }
                    }
                    footer {
                        nav {
                            a href="/metrics" { "Metrics" } " · "
                            a href="/-/healthy" { "Healthy" } " · "
                            a href="/-/ready" { "Ready" }
                        }
                    }
                }
            }
        };
        page.into_string()
    }

    /// Stores that are down come first.
    fn stores(&self, state: &State, counts: &Counts) -> Markup {
        let is_down = |store: &&StoreStatus| store.known().is_some_and(|(last, _)| !last.up);
        let (down, others): (Vec<_>, Vec<_>) = state.stores.iter().partition(is_down);
        html! {
            section aria-labelledby="stores" {
                h2 #stores { "Image stores" }
                p {
                    (counts.sentence()) "."
                    @if let Some(began) = state.running { " A query has been running for " (self.age(began)) "." }
                }
                div.stores {
                    @for store in down.into_iter().chain(others) { (self.store(store, state.running.is_some())) }
                }
            }
        }
    }

    fn store(&self, store: &StoreStatus, is_running: bool) -> Markup {
        let known = store.known();
        let (class, state) = match &known {
            None if is_running => ("unknown", html! { strong { "being queried" } }),
            None => ("unknown", html! { strong { "not queried yet" } }),
            Some((last, since)) => {
                let state = if last.up { "up" } else { "down" };
                let state = html! { strong { (state) } " for " (self.age(*since)) (time("since ", *since)) };
                (if last.up { "up" } else { "down" }, state)
            }
        };
        html! {
            article class=(class) {
                h3 { (store.name) }
                dl {
                    (row("State", state))
                    (row("Address", html! { code { (store.url) } }))
                    @if let Some((last, _)) = &known {
                        (self.numbers(last))
                        (self.last_query(store, last))
                    }
                }
            }
        }
    }

    fn numbers(&self, last: &LastQueries) -> Markup {
        html! {
            @if let Some(runtime) = &last.runtime { (row("Runtime", html! { (shown(runtime, LONGEST_LABEL)) })) }
            @if let Some(images) = last.images { (row("Images", html! { (images) })) }
            @if let Some(names) = last.names { (row("Names", html! { (names) })) }
            @if let Some(untagged) = last.untagged { (row("Untagged", html! { (untagged) })) }
            @if let Some(pinned) = last.pinned { (row("Pinned", html! { (pinned) })) }
            @if let Some(unused) = last.unused { (row("Unused", html! { (unused) })) }
            @if let Some(bytes) = last.size_bytes {
                (row("Size", html! { (size(bytes as u64)) span.faint { " as reported by the runtime" } }))
            }
            @for (mountpoint, left) in last.left.iter().take(DISKS) {
                (row("Disk", html! { (size(*left as u64)) " left at " code { (shown(mountpoint, LONGEST_LABEL)) } }))
            }
            @if last.warning { (row("Warning", html! { code { "journalctl -u exp-rkt-grpc -g warning" } })) }
            (row("Numbers", match last.answered {
                None => html! { "none, because it has never answered" },
                Some(answered) => html! { (self.age(answered)) " old" (time("from ", answered)) },
            }))
        }
    }

    fn last_query(&self, store: &StoreStatus, last: &LastQueries) -> Markup {
        let Some(query) = &store.last else {
            let ago = html! { (self.age(last.queried)) " ago, before the service was restarted" };
            return row("Last query", ago);
        };
        let (age, took) = (self.age(last.queried), duration(query.duration));
        let Some(failure) = &query.failure else {
            return row(
                "Last query",
                html! { "answered in " (took) ", " (age) " ago" },
            );
        };
        html! {
            (row("Last query", html! { "failed after " (took) ", " (age) " ago: " span.failed { (failure) } }))
            (row("What to do", match &query.trace_id {
                Some(trace_id) => html! { code { "journalctl -x TRACE_ID=" (trace_id) " IMAGESTORE_STORE=" (store.name) } },
                None => html! { code { "journalctl -x -u exp-rkt-grpc -n 10 IMAGESTORE_STORE=" (store.name) } },
            }))
        }
    }

    fn events(&self, state: &State) -> Markup {
        html! {
            section aria-labelledby="queries" {
                h2 #queries { "Last queries" }
                @if state.events.is_empty() {
                    p { "None since the service was started." }
                } @else {
                    table {
                        thead { tr { @for name in ["Ended", "Duration", "Outcome", "Trace"] { th scope="col" { (name) } } } }
                        tbody { @for event in &state.events { (self.event(event)) } }
                    }
                    p.faint { "Since the service was started, and at most " (EVENTS) "." }
                    @if self.traces_lost > 0 {
                        p.failed { (counted(self.traces_lost, "trace")) " could not be delivered: " code { "journalctl -u exp-rkt-grpc -g trace" } }
                    }
                }
            }
        }
    }

    fn event(&self, event: &EndedEvent) -> Markup {
        html! {
            tr {
                td { (self.age(event.at)) " ago, by " (event.trigger.as_str()) (time("", event.at)) }
                td { (duration(event.duration)) }
                td {
                    @match event.failures {
                        0 => { "answered" },
                        _ if event.stores == 1 => { span.failed { "failed" } },
                        failures => { span.failed { (failures) " of " (counted(event.stores as u64, "store")) " failed" } },
                    }
                    div.faint { (event.summary) }
                }
                td {
                    @match &event.trace_id {
                        Some(trace_id) => { (self.trace(trace_id)) div { code { (journal(trace_id)) } } },
                        None => { "not traced" },
                    }
                }
            }
        }
    }

    fn trace(&self, trace_id: &str) -> Markup {
        let trace = html! { code { (trace_id) } };
        match self.trace_url {
            Some(url) => html! { a href=(url.of(trace_id)) { (trace) } },
            None => trace,
        }
    }

    /// In words that stay on one line.
    fn age(&self, since: SystemTime) -> String {
        let age = age(self.now.duration_since(since).unwrap_or_default());
        age.replace(' ', "\u{a0}")
    }
}

fn row(name: &str, value: Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

/// The command that shows the log of a trace.
fn journal(trace_id: &str) -> String {
    format!("journalctl TRACE_ID={trace_id}")
}

/// The time in UTC after `before`, as in RFC 3339 but with spaces; nothing for times that it has no form for.
fn time(before: &str, at: SystemTime) -> Markup {
    /// The end of the year 9999.
    const END: Duration = Duration::from_secs(253_402_300_799);
    let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or(END);
    if since_epoch >= END {
        return html! {};
    }
    let rfc3339 = humantime::format_rfc3339_seconds(at).to_string();
    let shown = rfc3339.replace('T', " ").replace('Z', " UTC");
    html! { " " span.faint { "(" (before) time datetime=(rfc3339) { (shown) } ")" } }
}
