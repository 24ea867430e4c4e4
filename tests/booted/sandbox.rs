//! The unit's sandbox denies everything that the service does not need, and the service still works.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::time::SystemTime;
use std::{fs, io};

use lab::poll::eventually;
use lab::service::run as run_on_this_host;

use crate::compiled::INTRUDER;
use crate::host::{Host, PROGRAM, SERVICE, localhost};

/// The address outside of localhost that the intruder connects to, as in intruder.c.
const OUTSIDE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1)), 7777);

/// The acts that the sandbox permits.
const PERMITTED: [&str; 1] = ["connect to localhost"];

/// The outcome of each of the intruder's acts.
type Outcomes = BTreeMap<String, String>;

fn outcomes(text: &str) -> Outcomes {
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    lines
        .map(|(act, outcome)| (act.to_owned(), outcome.to_owned()))
        .collect()
}

/// Listeners at an address outside of localhost, at localhost and at Docker's socket.
struct Surroundings {
    _listening: Vec<TcpListener>,
    _docker: UnixListener,
    datagrams: UdpSocket,
}

fn surround(host: &Host) -> Surroundings {
    host.machine.succeed("ip address add 10.77.0.1/32 dev lo");
    let docker = host.machine.path("/run/docker.sock");
    let docker = UnixListener::bind(docker).expect("the path is free");
    host.machine
        .succeed("mkdir --parents /run/log/journal /run/user/0");
    host.machine.network(|| {
        let outside = TcpListener::bind(OUTSIDE).expect("a fresh address is free");
        let local = TcpListener::bind(localhost(OUTSIDE.port())).expect("the port is free");
        let datagrams = UdpSocket::bind(OUTSIDE).expect("the port is free");
        datagrams
            .set_nonblocking(true)
            .expect("the socket has this option");
        Surroundings {
            _listening: vec![outside, local],
            _docker: docker,
            datagrams,
        }
    })
}

/// The outcomes of the intruder's acts in place of the service's program, with the shipped unit otherwise.
fn outcomes_inside(host: &Host) -> Outcomes {
    host.machine.install(&INTRUDER, PROGRAM);
    host.systemctl("stop exp-rkt-grpc.socket exp-rkt-grpc.service");
    host.edit(
        SERVICE,
        "[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\n",
    );
    host.systemctl("start exp-rkt-grpc.service");
    let lines = host
        .machine
        .journal(["--unit=exp-rkt-grpc", "_TRANSPORT=stdout"]);
    let lines: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["MESSAGE"].as_str())
        .collect();
    outcomes(&lines.join("\n"))
}

#[test]
fn acts_that_succeed_outside_the_sandbox_are_denied_inside() {
    let Some(host) = Host::boot("sandbox") else {
        return;
    };
    let surroundings = surround(&host);
    let inside = outcomes_inside(&host);
    let datagram = surroundings
        .datagrams
        .recv(&mut [0; 8])
        .map_err(|error| error.kind());
    assert_eq!(datagram, Err(io::ErrorKind::WouldBlock));

    let outside = host.machine.run([PROGRAM]);
    let outside = outcomes(&String::from_utf8_lossy(&outside.stdout));
    assert!(surroundings.datagrams.recv(&mut [0; 8]).is_ok());

    assert!(outside.len() > 40, "{outside:#?}");
    let acts = |outcomes: &Outcomes| outcomes.keys().cloned().collect::<Vec<_>>();
    assert_eq!(acts(&inside), acts(&outside));
    let (permitted, refused): (Outcomes, Outcomes) = inside
        .into_iter()
        .partition(|(_, outcome)| outcome == "done");
    assert_eq!(acts(&permitted), PERMITTED, "{refused:#?}");
    let also_refused_outside: Outcomes = outside
        .into_iter()
        .filter(|(_, outcome)| outcome != "done")
        .collect();
    assert!(also_refused_outside.is_empty(), "{also_refused_outside:#?}");
}

#[test]
fn without_a_network_only_a_unix_socket_is_reachable() {
    let Some(host) = Host::boot("no-network") else {
        return;
    };
    let _store = host.runtime("/run/containerd/containerd.sock", 6);
    host.drop_in(&["cri.conf", "no-network.conf"]);
    host.systemctl("start exp-rkt-grpc");
    let images = host.query().value("imagestore_images", &[("store", "cri")]);
    let log = host.log();
    assert_eq!(images, Some(6.0), "{log}");
    assert!(log.contains("traces=none"), "{log}");

    // The settings file takes precedence over the drop-in.
    let settings = "OTEL_TRACES_EXPORTER=jaeger\n";
    host.machine.write("/etc/default/exp-rkt-grpc", settings);
    host.systemctl("restart exp-rkt-grpc");
    host.query();
    eventually("the lost trace", || {
        let lost = [("outcome", "failed")];
        let lost = host.scrape().value("exp_rkt_grpc_traces_total", &lost);
        (lost == Some(1.0)).then_some(())
    });

    let _surroundings = surround(&host);
    let inside = outcomes_inside(&host);
    for act in [
        "connect to localhost",
        "connect outside localhost",
        "send a datagram outside localhost",
    ] {
        assert_eq!(inside[act], "EAFNOSUPPORT", "{inside:#?}");
    }
}

/// The sockets and FIFOs below /run that the service sees and that are not closed to everybody, as systemd makes a hidden one.
fn visible_listeners(host: &Host) -> BTreeSet<String> {
    let run = host
        .machine
        .path(format!("/proc/{}/root/run", host.property("MainPID")));
    let find = "( -type s -o -type p ) -perm /222 -printf %P\\n";
    let arguments = [run.as_os_str()]
        .into_iter()
        .chain(find.split(' ').map(OsStr::new));
    let output = run_on_this_host("find", arguments, &[]);
    let found = String::from_utf8_lossy(&output.stdout);
    found.lines().map(str::to_owned).collect()
}

#[test]
fn of_all_listeners_below_run_the_drop_ins_expose_the_runtime_and_the_journal_only() {
    let Some(host) = Host::boot("listeners") else {
        return;
    };
    let _runtime = host.runtime("/run/containerd/containerd.sock", 1);
    // The service sees journald's directory here.
    let journal = ["dev-log", "io.systemd.journal", "socket", "stdout"];
    let journal = journal.map(|name| format!("exp-rkt-grpc/journal/{name}"));
    let mut expected = BTreeSet::from(journal);
    expected.insert("containerd/containerd.sock".to_owned());
    for drop_ins in [&["cri.conf"][..], &["root.conf"]] {
        host.drop_in(drop_ins);
        host.systemctl("restart exp-rkt-grpc");
        assert_eq!(visible_listeners(&host), expected, "{drop_ins:?}");
    }
}

/// The drop-ins show all of `/run`, since no narrower mount would show a runtime that starts later.
#[test]
fn the_sockets_that_the_drop_ins_expose_control_nothing_but_the_runtime() {
    let Some(host) = Host::boot("shown") else {
        return;
    };
    let _surroundings = surround(&host);
    let profiles: [(&[&str], &[&str]); 3] = [
        (&["cri.conf"], &PERMITTED),
        (&["cri.conf", "no-network.conf"], &[]),
        // The user is root, and journald lets root rotate and flush journals.
        (
            &["cri.conf", "root.conf"],
            &["command the journal", PERMITTED[0]],
        ),
    ];
    for (drop_ins, permitted) in profiles {
        host.machine.succeed(&format!(
            "rm --recursive --force /etc/systemd/system/{SERVICE}.d"
        ));
        host.drop_in(drop_ins);
        let inside = outcomes_inside(&host);
        let done = inside.iter().filter(|(_, outcome)| *outcome == "done");
        let done: Vec<&str> = done.map(|(act, _)| act.as_str()).collect();
        assert_eq!(done, permitted, "{drop_ins:?}: {inside:#?}");
    }
}

#[test]
fn one_drop_in_exposes_the_sockets_of_every_runtime() {
    let Some(host) = Host::boot("runtimes") else {
        return;
    };
    host.machine.write(
        "/etc/default/exp-rkt-grpc",
        "EXP_RKT_GRPC_STORE=crio=cri+unix:///run/crio/crio.sock,k3s=cri+unix:///run/k3s/containerd/containerd.sock\n",
    );
    host.drop_in(&["cri.conf"]);
    host.systemctl("start exp-rkt-grpc");
    let _crio = host.runtime("/run/crio/crio.sock", 2);
    let _k3s = host.runtime("/run/k3s/containerd/containerd.sock", 3);
    host.systemctl("kill --signal=SIGQUIT exp-rkt-grpc");
    eventually("the numbers of both", || {
        let scrape = host.scrape();
        let images = |store| scrape.value("imagestore_images", &[("store", store)]);
        (images("crio") == Some(2.0) && images("k3s") == Some(3.0)).then_some(())
    });
}

/// Compares the start time of the service in seconds with the one that systemd shows, and with the present.
#[track_caller]
fn assert_start_time(host: &Host, seconds: f64) {
    let shown = host
        .systemctl("show --property=ExecMainStartTimestamp --timestamp=unix --value exp-rkt-grpc");
    let started: f64 = shown.trim_start_matches('@').parse().expect("seconds");
    assert!((seconds - started).abs() <= 2.0, "{seconds} {started}");
    let now = SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("the clock is past 1970")
        .as_secs_f64();
    assert!(seconds <= now);
}

#[test]
fn the_process_metrics_are_correct_inside_the_sandbox() {
    let Some(host) = Host::boot("process") else {
        return;
    };
    host.systemctl("start exp-rkt-grpc");
    let scrape = host.scrape();
    let value = |name: &str| {
        scrape
            .value(name, &[])
            .unwrap_or_else(|| panic!("no {name}"))
    };
    assert_start_time(&host, value("process_start_time_seconds"));

    let process = host
        .machine
        .path(format!("/proc/{}", host.property("MainPID")));
    let entries = |folder: &str| {
        fs::read_dir(process.join(folder))
            .expect("the process runs")
            .count() as f64
    };
    assert_eq!(value("process_threads"), entries("task"));
    // The scrape's own connection may be closed by now, and soon the descriptors of the first record are.
    eventually("the number of descriptors", || {
        let open = host.scrape().value("process_open_fds", &[])?;
        ((open - entries("fd")).abs() <= 1.0).then_some(())
    });
    for name in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
    ] {
        assert!(value(name) > 0.0, "{name}");
    }
    // LimitNOFILE= of the unit.
    assert_eq!(value("process_max_fds"), 1024.0);
}
