//! The commands of README.md and docs/, run in the order of each page as an operator would type them.
//!
//! The machine has rkt's api-service, Debian's containerd with two images, and runtimes at the sockets of k3s and CRI-O; the package
//! is installed, and the service has not been started.

use std::sync::LazyLock;

use regex::Regex;

use lab::debian::Suite;
use lab::documents::{Block, Command, Page, Place, pages};
use lab::exposition::Scrape;
use lab::poll::eventually;
use lab::{cri_runtime, rkt_api_service};

use crate::containerd::Scene;
use crate::host::{Host, is_complete};

/// A test for each page with commands for a host.
macro_rules! pages {
    ($($test:ident: $page:literal,)*) => {
        const PAGES: &[&str] = &[$($page),*];

        $(
            #[test]
            fn $test() {
                run($page, stringify!($test));
            }
        )*
    };
}

pages! {
    readme: "README.md",
    alerts: "docs/alerts.md",
    configuration: "docs/configuration.md",
    runtimes: "docs/runtimes.md",
    scraping: "docs/scraping.md",
    systemd: "docs/systemd.md",
    tracing: "docs/tracing.md",
    troubleshooting: "docs/troubleshooting.md",
}

#[test]
fn every_page_with_commands_for_a_host_is_tested() {
    let is_host = |block: &Block| matches!(block.place, Place::Host(_));
    let found = pages().into_iter();
    let found = found.filter(|page| page.blocks().iter().any(is_host));
    assert_eq!(found.map(|page| page.name).collect::<Vec<_>>(), PAGES);
}

#[test]
fn each_store_in_the_table_of_the_readme_is_queried() {
    let Some(runtimes) = Runtimes::boot("stores") else {
        return;
    };
    let readme = page("README.md");
    let rows = readme.text.lines().filter_map(|row| {
        let mut cells = row.strip_prefix("| ")?.split(" | ");
        let (name, store) = (cells.next()?, cells.next()?.split('`').nth(1)?);
        store.contains("://").then(|| (name.to_lowercase(), store))
    });
    let rows: Vec<(String, &str)> = rows.filter(|(name, _)| !name.starts_with('`')).collect();
    assert_eq!(rows.len(), 6, "{rows:?}");
    let stores: Vec<String> = rows
        .iter()
        .map(
            |(name, store)| match store.strip_prefix(&format!("{name}=")) {
                Some(_) => (*store).to_owned(),
                None => format!("{name}={store}"),
            },
        )
        .collect();
    let host = &runtimes.scene.host;
    let setting = format!("EXP_RKT_GRPC_STORE={}\n", stores.join(","));
    host.machine.write("/etc/default/exp-rkt-grpc", setting);
    host.drop_in(&["cri.conf"]);
    host.systemctl("restart exp-rkt-grpc");
    let scrape = host.query();
    for (name, _) in rows {
        let up = scrape.value("imagestore_up", &[("store", name.as_str())]);
        assert_eq!(up, Some(1.0), "{name}: {}", host.log());
    }
}

fn page(name: &str) -> Page {
    let page = pages().into_iter().find(|page| page.name == name);
    page.expect("the page exists")
}

/// What the pages show of Debian 12, and what Debian 13 shows instead.
const ON_TRIXIE: [(&str, &str); 2] = [
    ("1.6.20~ds1", "1.7.24~ds1"),
    ("(/lib/systemd/system/", "(/usr/lib/systemd/system/"),
];

/// Runs the blocks of a page on a machine of this name.
fn run(name: &str, machine: &str) {
    let Some(runtimes) = Runtimes::boot(machine) else {
        return;
    };
    let _agent = runtimes.scene.host.jaeger_agent();
    let mut page = page(name);
    if Suite::of_machines() == Suite::Trixie {
        for (shown, on_trixie) in ON_TRIXIE {
            page.text = page.text.replace(shown, on_trixie);
        }
    }
    let mut terminal = Terminal::on(&runtimes.scene.host, &page);
    for block in page.blocks() {
        terminal.follow(&block);
    }
}

/// A machine on which every runtime of the documentation runs.
struct Runtimes {
    scene: Scene,
    _rkt: rkt_api_service::StandIn,
    _cri: [cri_runtime::StandIn; 2],
}

impl Runtimes {
    #[track_caller]
    fn boot(name: &str) -> Option<Self> {
        let scene = Scene::boot(name)?;
        scene.import(&["example.org/shop:1.2", "example.org/cache:7"], 2);
        let sockets = ["/run/k3s/containerd/containerd.sock", "/run/crio/crio.sock"];
        Some(Self {
            _rkt: scene.host.store(rkt_api_service::Images::samples()),
            _cri: sockets.map(|socket| scene.host.runtime(socket, 3)),
            scene,
        })
    }
}

/// Prefixes of commands that only read. They are repeated until their output is complete.
const READS: [&str; 4] = [
    "curl ",
    "journalctl ",
    "systemctl status ",
    "systemctl show ",
];

struct Terminal<'a> {
    host: &'a Host,
    page: &'a Page,
    /// The last trace id shown; it replaces the example id in a command.
    trace_id: Option<String>,
}

impl<'a> Terminal<'a> {
    fn on(host: &'a Host, page: &'a Page) -> Self {
        let trace_id = None;
        Self {
            host,
            page,
            trace_id,
        }
    }

    #[track_caller]
    fn follow(&mut self, block: &Block) {
        match &block.place {
            Place::Host(Some(path)) => self.host.machine.write(path, &block.text),
            Place::Host(None) => {
                let commands = block.commands();
                commands
                    .iter()
                    .for_each(|command| self.type_in(block, command));
            }
            Place::Checkout | Place::Needs(_) | Place::None => {}
        }
    }

    #[track_caller]
    fn type_in(&mut self, block: &Block, command: &Command) {
        let machine = &self.host.machine;
        machine.succeed("journalctl --sync");
        let begun = machine.succeed("date +%s.%N");
        let begun: f64 = begun.parse().expect("date prints a number");
        let mut line = command.text.clone();
        if let (Some(example), Some(id)) = (trace_id(&line), &self.trace_id) {
            line = line.replace(example, id);
        }
        let place = format!("{}:{}: {line}", self.page.name, block.line);
        let shown = if READS.iter().any(|read| line.starts_with(read)) {
            // The log line and the status follow the numbers, so retry.
            let mut last = String::new();
            eventually(&place, || {
                let shown = self.shown(&line, command);
                shown
                    .inspect_err(|why| {
                        let reason = why.lines().next().unwrap_or_default();
                        if reason != last {
                            eprintln!("{place}: {why}");
                            last = reason.to_owned();
                        }
                    })
                    .ok()
            })
        } else {
            let shown = self.shown(&line, command);
            shown.unwrap_or_else(|why| panic!("{place}: {why}"))
        };
        self.trace_id = shown
            .lines()
            .rev()
            .find_map(trace_id)
            .map(str::to_owned)
            .or(self.trace_id.take());
        if line.contains("SIGQUIT") || line.contains("start exp-rkt-grpc-query.service") {
            eventually(&format!("{place}: the query"), || {
                was_queried_since(&self.host.scrape(), begun).then_some(())
            });
        }
    }

    /// What a command prints, or why that is not what the page shows.
    fn shown(&self, line: &str, command: &Command) -> Result<String, String> {
        let script = format!("exec 2>&1\n{line}");
        let output = self.host.machine.run(["bash", "-c", &script]);
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            return Err(format!("{}\n{shown}", output.status));
        }
        match first_missing(&command.output, &shown) {
            Some(missing) => Err(format!("no line is {missing:?} in:\n{shown}")),
            None => Ok(shown),
        }
    }
}

/// Whether each configured store has been queried since this time, and everything about it reported.
fn was_queried_since(scrape: &Scrape, begun: f64) -> bool {
    let last = |store: &str| {
        scrape.value(
            "imagestore_last_query_timestamp_seconds",
            &[("store", store)],
        )
    };
    let mut stores = scrape.samples("imagestore_info");
    stores.all(|info| last(&info.labels["store"]) > Some(begun)) && is_complete(scrape)
}

/// The first run of exactly 32 hexadecimal digits.
fn trace_id(line: &str) -> Option<&str> {
    let mut words = line.split(|c: char| !matches!(c, '0'..='9' | 'a'..='f'));
    words.find(|word| word.len() == 32)
}

/// The first expected line that does not follow the previous one in the output; `…` stands for anything.
fn first_missing<'a>(expected: &'a [String], output: &str) -> Option<&'a str> {
    let mut rest = output.lines();
    let mut expected = expected
        .iter()
        .filter(|line| !line.is_empty() && *line != "…");
    expected
        .find(|line| !rest.any(|shown| matches(line, shown)))
        .map(String::as_str)
}

/// Whether a line has the shape of the expected one.
fn matches(expected: &str, shown: &str) -> bool {
    let expected = shape(expected);
    let parts: Vec<String> = expected.split('…').map(regex::escape).collect();
    let pattern = format!("^{}$", parts.join(".*"));
    let pattern = Regex::new(&pattern).expect("it is a regular expression");
    pattern.is_match(&shape(shown))
}

/// The line without what differs each time: ids, long numbers, durations, times, and the width of columns.
fn shape(line: &str) -> String {
    static VARYING: LazyLock<Regex> = LazyLock::new(|| {
        let pattern = r"(?-u)\b([0-9a-f]{16,}|\d+(\.\d+)?(ns|µs|us|ms|s|min|h)|\d{6,}(\.\d+)?|\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d(\.\d+)?)\b";
        Regex::new(pattern).expect("it is a regular expression")
    });
    let words: Vec<&str> = line.split_whitespace().collect();
    VARYING.replace_all(&words.join(" "), "0").into_owned()
}

#[test]
fn lines_are_compared_by_what_does_not_vary() {
    for (expected, shown) in [
        (
            "rkt: 5 images, queried in 3.5ms",
            "rkt: 5 images, queried in 1s",
        ),
        (
            "rkt: 5 images, queried in 3.5ms",
            "rkt: 5 images, queried in 963.0µs",
        ),
        ("a … b", "a b c b"),
        (
            "… images counted trace_id=…",
            "Nov 27 images counted trace_id=1",
        ),
        (
            "imagestore_up{store=\"rkt\"}  1",
            "imagestore_up{store=\"rkt\"} 1",
        ),
        (
            "since Wed 2026-11-25 05:10:40 UTC",
            "since Wed 2027-01-02 03:04:05 UTC",
        ),
        (
            "trace 950fcb3de1b80c0e5beb43661f7f1c1f",
            "trace 000000000000000aaaaaaaaaaaaaaaaa",
        ),
    ] {
        assert!(matches(expected, shown), "{expected}: {shown}");
    }
    for (expected, shown) in [
        (
            "rkt: 5 images, queried in 3.5ms",
            "rkt: 5 images, queried 3 min ago",
        ),
        ("… images counted", "images counted twice"),
        ("imagestore_images 5", "imagestore_images 6"),
    ] {
        assert!(!matches(expected, shown), "{expected}: {shown}");
    }
}
