//! Time from exec to the response to the first scrape, whose connection is already queued in the socket: listen, connect, send
//! the request, then start the program.

use std::{
    env,
    io::{self, Read, Write},
    net::TcpListener,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{self, Command, Stdio},
    time::Duration,
};

use lab::service::http::{Connection, SCRAPE};
use rustix::{
    io::{FdFlags, dup, fcntl_setfd},
    time::{ClockId, clock_gettime},
};

use crate::{
    peers::Peers,
    report::{Report, median, milliseconds, quantile, ratio},
};

/// First argument that makes this program execute another one with an inherited socket.
pub(crate) const ROLE: &str = "--activated";

/// The first descriptor that systemd passes: sd_listen_fds(3).
const FIRST_PASSED: i32 = 3;

const ROUNDS: usize = 31;

pub(crate) fn measure(peers: &Peers, report: &mut Report) {
    let program = peers.program.display().to_string();
    let node_exporter = peers.activated_node_exporter();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(first_scrape(peers, &[&program]));
        theirs.extend(node_exporter.map(|words| first_scrape(peers, &words)));
    }
    let mut rows = vec![row("exp-rkt-grpc", &ours)];
    if theirs.is_empty() {
        report.skipped("exec to first scrape", "node_exporter is not installed");
    } else {
        rows.push(row("node_exporter", &theirs));
        report.at_most(
            "exec to first scrape, vs. node_exporter",
            ratio(median(&ours), median(&theirs)),
            1.0 / 3.0,
            " ×",
        );
    }
    let head = ["program", "median, ms", "p10, ms", "p90, ms"];
    report.table("Exec to first scrape", &head, &rows);
}

fn row(name: &str, times: &[Duration]) -> Vec<String> {
    let figures = [0.5, 0.1, 0.9].map(|share| milliseconds(quantile(times, share)));
    [name.to_owned()].into_iter().chain(figures).collect()
}

fn first_scrape(peers: &Peers, words: &[&str]) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let mut scrape = Connection::open(address).expect("the socket listens");
    scrape.send(SCRAPE).expect("the request is buffered");

    let bench = env::current_exe().expect("this program has a path");
    let mut child = Command::new(bench)
        .arg(ROLE)
        .args(words)
        .envs(peers.environment())
        .stdin(OwnedFd::from(listener))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("this program runs");
    let response = scrape.receive().expect("the scrape is answered");
    let answered = now();
    assert_eq!(response.status, 200);
    // The child writes the time just before it executes the measured program.
    let mut began = [0; 8];
    let stdout = child.stdout.as_mut().expect("stdout is piped");
    stdout
        .read_exact(&mut began)
        .expect("the child writes its start time");
    child.kill().expect("the program runs");
    child.wait().expect("it is our child");
    answered - Duration::from_nanos(u64::from_le_bytes(began))
}

/// Executes `program`, with standard input as the socket that systemd would pass. Writes the time to standard output just before.
pub(crate) fn become_activated(program: &str, arguments: &[&str]) {
    // Descriptors 0 to 2 are taken, so the copy gets number 3.
    let socket = dup(io::stdin()).expect("a descriptor is free");
    assert_eq!(
        socket.as_raw_fd(),
        FIRST_PASSED,
        "another descriptor was inherited"
    );
    fcntl_setfd(&socket, FdFlags::empty()).expect("the descriptor is open");
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("LISTEN_PID", process::id().to_string())
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDNAMES", "metrics")
        .stdin(Stdio::null());
    let mut stdout = io::stdout().lock();
    let began = u64::try_from(now().as_nanos()).expect("the uptime is less than centuries");
    stdout
        .write_all(&began.to_le_bytes())
        .and_then(|()| stdout.flush())
        .expect("the bench reads");
    panic!("{program} does not start: {}", command.exec());
}

fn now() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::try_from(time).expect("the monotonic clock is not negative")
}
