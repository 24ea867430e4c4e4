//! The demo that `make demo` runs, also as `make demo JAEGER=1`: its output, and that it leaves no process behind.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use lab::poll::eventually;
use lab::service::{PATIENCE, run};
use rustix::process::{Pid, Signal, kill_process};

#[path = "demo/jaeger.rs"]
mod jaeger;

/// The byte that a terminal sends for ctrl-c.
const CTRL_C: &[u8] = b"\x03";

/// Demos use the same well-known ports, so that only one can run at a time.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static RUNNING: Mutex<()> = Mutex::new(());
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The demo's program: Cargo puts examples in a folder beside that of the tests.
fn demo() -> PathBuf {
    let test = env::current_exe().expect("the path of this test is known");
    let built = test
        .ancestors()
        .nth(2)
        .expect("the test is in target/*/deps");
    let demo = built.join("examples/demo");
    assert!(
        demo.is_file(),
        "the demo is not built: run `cargo build --example demo`, or `cargo test` without --test"
    );
    demo
}

fn shown_without_a_terminal() -> String {
    let _alone = one_at_a_time();
    let output = run(demo(), [""; 0], &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    assert_eq!(stderr, "");
    String::from_utf8(output.stdout).expect("the output is UTF-8")
}

/// The text between this heading and the next.
fn step<'a>(shown: &'a str, title: &str) -> &'a str {
    let (_, rest) = shown
        .split_once(&format!(". {title}\n"))
        .unwrap_or_else(|| panic!("no step {title:?} in:\n{shown}"));
    rest.split_once("\n\n").map_or(rest, |(text, _)| text)
}

/// The number in the first `$ kill -s SIGQUIT`.
fn pid(shown: &str) -> Option<i32> {
    let (_, rest) = shown.split_once("$ kill -s SIGQUIT ")?;
    rest.lines().next()?.trim().parse().ok()
}

fn runs(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn without_a_terminal_the_demo_shows_its_steps_and_ends() {
    let shown = shown_without_a_terminal();

    let before = step(&shown, "Metrics before the first query");
    assert!(!before.contains("imagestore_images{"), "{before}");
    let after = step(&shown, "Metrics after the query");
    assert!(
        after.contains("\nimagestore_images{store=\"rkt\"} 5\n"),
        "{after}"
    );
    assert!(
        after.contains("\nimagestore_up{store=\"rkt\"} 1"),
        "{after}"
    );

    let trace = step(&shown, "The trace of that query");
    for span in [
        "\nimagestore query ",
        "\n├─ v1alpha.PublicAPI/ListImages ",
        "\n│  └─ connect ",
    ] {
        assert!(trace.contains(span), "no {span:?} in:\n{trace}");
    }

    let failure = step(&shown, "A failure: the store refuses connections");
    for fact in [
        "ERROR query failed",
        "✗",
        "\nimagestore_up{store=\"rkt\"} 0\n",
        "\nimagestore_images{store=\"rkt\"} 5\n",
        "\nimagestore_query_failures_total{code=\"UNAVAILABLE\",store=\"rkt\"} 1\n",
    ] {
        assert!(failure.contains(fact), "no {fact:?} in:\n{failure}");
    }
    let back = step(&shown, "The store is back");
    assert!(back.contains("\nimagestore_up{store=\"rkt\"} 1"), "{back}");

    let pid = pid(&shown).expect("the demo shows how to trigger a query");
    assert!(!runs(pid), "the service is left behind");
}

#[test]
fn the_output_is_at_most_100_columns_wide_and_has_no_escapes_without_a_terminal() {
    let shown = shown_without_a_terminal();
    for line in shown.lines() {
        assert!(line.chars().count() <= 100, "{line}");
        assert!(!line.contains(char::is_control), "{line:?}");
    }
}

#[test]
fn if_the_service_is_not_built_the_demo_fails_with_instructions() {
    let _alone = one_at_a_time();
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join("demo-alone/examples");
    fs::create_dir_all(&built).expect("the folder is writable");
    let alone = built.join("demo");
    let _left_by_an_earlier_run = fs::remove_file(&alone);
    fs::hard_link(demo(), &alone).expect("both are on the same file system");

    let output = run(&alone, [""; 0], &[]);
    fs::remove_file(&alone).expect("the file exists");

    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "demo: the service is not built: run `make demo`, or `cargo build --bin exp-rkt-grpc` first\n"
    );
}

#[test]
fn in_a_terminal_the_demo_keeps_running_until_ctrl_c() {
    let _alone = one_at_a_time();
    let mut terminal = Terminal::run(&demo());
    let shown = terminal.read_until("Your turn");
    let service = pid(&shown).expect("the demo shows how to trigger a query");
    terminal.read_until("$ kill -s SIGQUIT");

    let process = Pid::from_raw(service).expect("a process id is not 0");
    kill_process(process, Signal::QUIT).expect("the service runs");
    let trace = terminal.read_until("v1alpha.PublicAPI/ListImages");
    assert!(trace.contains("imagestore query"), "{trace}");

    terminal.press(CTRL_C);
    let end = terminal.read_until("Nothing is left running");
    assert!(end.contains("stopping signal=\"SIGINT\""), "{end}");
    assert!(end.contains("exit status: 0"), "{end}");
    terminal.assert_success();
    assert!(!runs(service), "the service is left behind");
}

/// A program in a pseudo-terminal of its own.
struct Terminal {
    script: Child,
    keys: ChildStdin,
    lines: Receiver<String>,
}

impl Terminal {
    fn run(program: &Path) -> Self {
        let mut script = Command::new("script")
            .args(["--quiet", "--return", "--command"])
            .arg(format!("exec '{}'", program.display()))
            .arg("/dev/null")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script is installed (Debian: bsdutils)");
        let keys = script.stdin.take().expect("standard input is piped");
        let screen = BufReader::new(script.stdout.take().expect("standard output is piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let read = screen.lines().map_while(Result::ok);
            read.take_while(|line| sender.send(line.clone()).is_ok())
                .for_each(drop);
        });
        Self {
            script,
            keys,
            lines,
        }
    }

    fn press(&mut self, key: &[u8]) {
        self.keys.write_all(key).expect("the terminal is open");
    }

    /// The output from now on, up to the line that contains `wanted`.
    #[track_caller]
    fn read_until(&self, wanted: &str) -> String {
        let mut shown = String::new();
        while !shown.contains(wanted) {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => shown += &(line + "\n"),
                Err(why) => panic!("no {wanted:?} ({why}) in:\n{shown}"),
            }
        }
        shown
    }

    #[track_caller]
    fn assert_success(&mut self) {
        let status = eventually("the demo's end", || {
            self.script
                .try_wait()
                .expect("script is a child of this process")
        });
        assert!(status.success(), "{status}");
    }
}

/// Closing the terminal sends SIGHUP to its program, which then ends.
impl Drop for Terminal {
    fn drop(&mut self) {
        let _ended_already = self.script.kill();
        let _ = self.script.wait();
    }
}
