//! The status page in HTML: readable without styles, in a terminal's browser too. It has no script.
//!
//! `maud` escapes all text; [`super::shown`] has already removed what HTML does not escape.

use std::{
    process,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{EVENTS, EndedEvent, State, StoreStatus, TraceUrl};
use crate::{
    REVISION,
    metrics::LastQueries,
    units::{age, duration, size},
    words::counted,
};

/// Permits the page's own style sheet and nothing else. After a change of `page.css`, `tests/page.rs` fails and names its hash.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'sha256-XUSCOGv/Ks/I+VGjzlaMl71/iznJP44HOvELLkVJiv8='; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("page.css");

/// The page at `now`, with trace ids linked to `trace_url`.
pub(super) fn render(state: &State, trace_url: Option<&TraceUrl>, now: SystemTime) -> String {
    let view = View { trace_url, now };
    let mut known = state.stores.iter().filter_map(StoreStatus::known);
    let was_queried = known.next().is_some() || state.running.is_some();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Browsers ask for /favicon.ico otherwise.
                link rel="icon" href="data:,";
                title { (title(state)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "exp-rkt-grpc" }
                    p { "Version " (version()) ", running for " (view.age(state.started)) (time("since ", state.started)) }
                }
                main {
                    @if !was_queried { (triggers(was_queried)) }
                    (view.stores(state))
                    (view.events(state))
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

/// For the tabs of a browser: the number of stores that are down.
fn title(state: &State) -> String {
    let ups = state.stores.iter().filter_map(StoreStatus::known);
    match ups.filter(|(last, _)| !last.up).count() {
        0 => "exp-rkt-grpc".to_owned(),
        down => format!("{down} down – exp-rkt-grpc"),
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

/// What all parts of a page need.
struct View<'a> {
    trace_url: Option<&'a TraceUrl>,
    now: SystemTime,
}

impl View<'_> {
    fn stores(&self, state: &State) -> Markup {
        html! {
            section aria-labelledby="stores" {
                h2 #stores { "Image stores" }
                @if let Some(began) = state.running {
                    p { "A query has been running for " (self.age(began)) "." }
                }
                div.stores { @for store in &state.stores { (self.store(store)) } }
            }
        }
    }

    fn store(&self, store: &StoreStatus) -> Markup {
        let known = store.known();
        let (class, state) = match &known {
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
            @if let Some(runtime) = &last.runtime { (row("Runtime", html! { (runtime) })) }
            @if let Some(images) = last.images { (row("Images", html! { (images) })) }
            @if let Some(untagged) = last.untagged { (row("Untagged", html! { (untagged) })) }
            @if let Some(bytes) = last.size_bytes {
                (row("Size", html! { (size(bytes as u64)) span.faint { " as reported by the runtime" } }))
            }
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
                Some(trace_id) => html! { "read its log: " code { (journal(trace_id)) } },
                None => html! { "read the log: " code { "journalctl -u exp-rkt-grpc -p warning" } },
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

    fn age(&self, since: SystemTime) -> String {
        age(self.now.duration_since(since).unwrap_or_default())
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
