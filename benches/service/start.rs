//! From exec to the first scrape answered, through a connection that waits in the socket: listen, connect, ask, then start.

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

/// First argument of this program when it is to become an activated one.
pub(crate) const ROLE: &str = "--activated";

/// The first descriptor that systemd hands over: sd_listen_fds(3).
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
        report.skipped("exec to first scrape", "there is no node_exporter");
    } else {
        rows.push(row("node_exporter", &theirs));
        report.at_most(
            "exec to first scrape answered, beside node_exporter",
            ratio(median(&ours), median(&theirs)),
            1.0 / 3.0,
            " ×",
        );
    }
    let head = ["program", "median, ms", "p10, ms", "p90, ms"];
    report.table("Exec to first scrape answered", &head, &rows);
}

fn row(name: &str, times: &[Duration]) -> Vec<String> {
    let figures = [0.5, 0.1, 0.9].map(|share| milliseconds(quantile(times, share)));
    [name.to_owned()].into_iter().chain(figures).collect()
}

fn first_scrape(peers: &Peers, words: &[&str]) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let mut scrape = Connection::open(address).expect("it listens");
    scrape.send(SCRAPE).expect("it is buffered");

    let own = env::current_exe().expect("this program has a path");
    let mut child = Command::new(own)
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
    // Says when it began, then becomes the other program.
    let mut began = [0; 8];
    let stdout = child.stdout.as_mut().expect("it was asked for");
    stdout
        .read_exact(&mut began)
        .expect("it says when it began");
    child.kill().expect("it runs");
    child.wait().expect("it is ours");
    answered - Duration::from_nanos(u64::from_le_bytes(began))
}

/// Becomes `program`, with standard input as the socket that systemd hands over; says when on standard output.
pub(crate) fn become_activated(program: &str, arguments: &[&str]) {
    // Descriptors 0 to 2 are taken: the copy is the next one.
    let socket = dup(io::stdin()).expect("there is room for one more");
    assert_eq!(
        socket.as_raw_fd(),
        FIRST_PASSED,
        "a descriptor was inherited"
    );
    fcntl_setfd(&socket, FdFlags::empty()).expect("it is open");
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("LISTEN_PID", process::id().to_string())
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDNAMES", "metrics")
        .stdin(Stdio::null());
    let mut stdout = io::stdout().lock();
    let began = u64::try_from(now().as_nanos()).expect("a machine runs for less than centuries");
    stdout
        .write_all(&began.to_le_bytes())
        .and_then(|()| stdout.flush())
        .expect("the bench reads");
    panic!("{program} does not start: {}", command.exec());
}

fn now() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::try_from(time).expect("it is not negative")
}
