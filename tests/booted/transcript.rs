//! What operators type and see, for the README: commands with what they really printed, in `operator.md` in Cargo's target folder.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use lab::poll::eventually;
use lab::rkt_api_service::Images;
use lab::service::PATIENCE;

use crate::host::{Host, MANUAL_INDEX, is_complete};
use crate::package::PACKAGES;

/// Commands with their output, in the order in which they were typed.
struct Transcript<'a> {
    host: &'a Host,
    text: String,
}

impl<'a> Transcript<'a> {
    fn on(host: &'a Host) -> Self {
        let text = String::new();
        Self { host, text }
    }

    /// Runs a line as root's shell does; panics unless all of these are shown. Returns what is.
    #[track_caller]
    fn types(&mut self, line: &str, expected: &[&str]) -> String {
        self.host.machine.succeed("journalctl --sync");
        let output = self.host.machine.run(["bash", "-c", line]);
        let shown = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        self.text.push_str(&format!("    # {line}\n"));
        for line in shown.lines() {
            self.text.push_str(format!("    {line}").trim_end());
            self.text.push('\n');
        }
        self.text.push('\n');
        for expected in expected {
            assert!(shown.contains(expected), "{expected} is not in:\n{shown}");
        }
        shown
    }

    /// Lets the service query, and waits until it has said so, which takes a moment longer.
    #[track_caller]
    fn triggers(&mut self) {
        let host = self.host;
        let lines = || host.log().matches(" trace_id=").count();
        let before = lines();
        self.types("systemctl kill -s SIGQUIT exp-rkt-grpc", &[]);
        eventually("the query", || {
            let scrape = host.scrape();
            let queries = scrape.value("imagestore_queries_total", &[("store", "rkt")]);
            let told = queries > Some(before as f64) && is_complete(&scrape);
            (told && lines() > before).then_some(())
        });
    }
}

impl Drop for Transcript<'_> {
    /// Also when something was not as expected: then it shows how far it came.
    fn drop(&mut self) {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("operator.md");
        fs::write(&path, &self.text).expect("Cargo's target folder can be written to");
    }
}

const SCRAPE: &str =
    "curl -s http://127.0.0.1:33333/metrics | grep -E '^imagestore_(up|images|last_success)'";

#[test]
fn what_operators_see_is_written_down_for_the_readme() {
    let Some(host) = Host::boot("transcript") else {
        return;
    };
    let mut transcript = Transcript::on(&host);
    a_query(&mut transcript);
    a_store_that_is_down(&mut transcript);
    an_upgrade(&mut transcript);
    a_timer(&mut transcript);
    transcript.types(
        "systemd-analyze security exp-rkt-grpc | tail -n 1",
        &["Overall exposure level for exp-rkt-grpc.service: 0."],
    );
}

fn a_query(transcript: &mut Transcript<'_>) {
    let _store = transcript.host.store(Images::samples());
    let agent = transcript.host.jaeger_agent();
    transcript.types("systemctl start exp-rkt-grpc", &[]);
    transcript.triggers();
    transcript.types(SCRAPE, &["images{store=\"rkt\"} 5", "up{store=\"rkt\"} 1"]);
    transcript.types(
        "systemctl status exp-rkt-grpc",
        &["active (running)", "Status: \"rkt: 5 images, asked in "],
    );
    let trace = agent.next_trace(PATIENCE).id_hex();
    transcript.types(&format!("journalctl TRACE_ID={trace}"), &["images counted"]);
}

fn a_store_that_is_down(transcript: &mut Transcript<'_>) {
    transcript.triggers();
    transcript.types(SCRAPE, &["images{store=\"rkt\"} 5", "up{store=\"rkt\"} 0"]);
    transcript.types("journalctl -u exp-rkt-grpc", &["serving", "images counted"]);
    transcript.types(
        "journalctl -x -u exp-rkt-grpc -p err",
        &["Subject: The query of the image store rkt failed: UNAVAILABLE"],
    );
}

/// Scrapes are sent for as long as it takes, and counted by their status.
fn an_upgrade(transcript: &mut Transcript<'_>) {
    let package = &PACKAGES.next;
    let name = package.file_name().and_then(OsStr::to_str);
    let inside = format!("/root/{}", name.expect("it has a plain name"));
    let host = transcript.host;
    host.machine
        .write(&inside, fs::read(package).expect("it has been made"));
    host.machine.write(MANUAL_INDEX, "");
    let process = host.property("MainPID");
    let printed = transcript.types(
        &format!(
            "(until test -e done; do curl -s -o /dev/null -w '%{{http_code}}\\n' http://127.0.0.1:33333/metrics; done \
             | sort | uniq -c) & dpkg -i {inside}; touch done; wait"
        ),
        &["Unpacking exp-rkt-grpc "],
    );
    let statuses = printed.lines().filter_map(|line| {
        let (count, status) = line.trim_start().split_once(' ')?;
        count.parse::<u32>().ok().map(|_| status)
    });
    assert_eq!(statuses.collect::<Vec<_>>(), ["200"], "{printed}");
    assert_ne!(host.property("MainPID"), process);
}

fn a_timer(transcript: &mut Transcript<'_>) {
    const TIMER: &str = "exp-rkt-grpc-query.timer";
    transcript.types(
        &format!("systemctl enable --now {TIMER}"),
        &["Created symlink"],
    );
    transcript.types(
        &format!("systemctl list-timers {TIMER}"),
        &["1 timers listed."],
    );
}
