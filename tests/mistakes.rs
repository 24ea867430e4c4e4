//! A stranger's plausible mistakes: each is made, and ends in the sentence that `docs/mistakes.md` has for it.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;
use std::process::Output;
use std::{fs, path::Path};

use lab::identity::{NOBODY, PublicProgram, set_mode};
use lab::mistakes::{self, Mistake};
use lab::service::{ReservedPort, run};
use lab::{TempDir, tempdir};

const PROGRAM: &str = env!("CARGO_BIN_EXE_exp-rkt-grpc");

/// Mistakes that need a systemd: `tests/booted` makes them.
const BOOTED: [&str; 4] = [
    "forgotten drop-in",
    "TCP store without a network",
    "wrong group",
    "changed address of the socket unit",
];

fn quiet(program: &str, arguments: &[&str]) -> Output {
    run(program, arguments, &[("OTEL_TRACES_EXPORTER", "none")])
}

fn query(store: &str) -> Output {
    quiet(PROGRAM, &["query", "--store", store])
}

/// Standard error and output of a program that fails.
#[track_caller]
fn said(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    let texts = [&output.stderr, &output.stdout].map(|text| String::from_utf8_lossy(text));
    texts.concat()
}

fn folder() -> TempDir {
    tempdir().expect("a temporary folder can be made")
}

fn store_at(socket: &Path) -> String {
    format!("cri+unix://{}", socket.display())
}

/// In a network of its own, where nobody listens and no name server answers, and without settings of a service; as a user
/// without rights if `identity` says so.
fn alone(identity: &[&str], arguments: &[&str]) -> Output {
    let program = PublicProgram::copy_of(PROGRAM);
    let program = program.path().to_str().expect("its name is text");
    let up = "ip link set lo up; mount -t tmpfs tmpfs /etc/default; exec \"$@\"";
    let shell = ["--net", "--mount", "/bin/sh", "-c", up, "sh"];
    quiet(
        "/usr/bin/unshare",
        &[&shell[..], identity, &[program], arguments].concat(),
    )
}

fn port_in_use() -> Output {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    quiet(PROGRAM, &["--listen", &address])
}

fn stale_socket() -> Output {
    let folder = folder();
    let socket = folder.path().join("cri.sock");
    drop(UnixListener::bind(&socket).expect("the path is free"));
    query(&store_at(&socket))
}

fn no_permission() -> Output {
    let program = PublicProgram::copy_of(PROGRAM);
    let socket = program.folder().join("cri.sock");
    let _listener = UnixListener::bind(&socket).expect("the path is free");
    set_mode(&socket, 0o660);
    let path = program.path().to_str().expect("its name is text");
    let store = store_at(&socket);
    quiet(
        "setpriv",
        &[&NOBODY[..], &[path, "query", "--store", &store]].concat(),
    )
}

/// Makes the mistake.
fn make(mistake: &Mistake) -> Output {
    let nobody_there = ReservedPort::reserve();
    match (mistake.name, mistake.input) {
        ("misspelt variable", Some(variable)) => run(PROGRAM, [""; 0], &[(variable, "value")]),
        ("misspelt flag", Some(flag)) => quiet(PROGRAM, &[flag]),
        (_, Some(store)) => query(store),
        ("two stores of one name", _) => query("rkt+http://127.0.0.1:1,rkt+http://127.0.0.1:2"),
        ("port in use", _) => port_in_use(),
        ("port of root's", _) => alone(
            &[&["setpriv"], &NOBODY[..]].concat(),
            &["--listen=127.0.0.1:99"],
        ),
        ("address of another host", _) => quiet(PROGRAM, &["--listen=192.0.2.1:33333"]),
        ("missing socket", _) => query(&store_at(&folder().path().join("cri.sock"))),
        ("stale socket", _) => stale_socket(),
        ("no permission", _) => no_permission(),
        ("name that does not resolve", _) => {
            alone(&[], &["query", "--store=rkt+http://store.invalid:1"])
        }
        ("wrong port", _) => query(&format!("rkt+http://{}", nobody_there.address())),
        ("no store configured", _) => alone(&[], &["query"]),
        (name, None) => panic!("nobody makes the mistake {name:?}"),
    }
}

#[test]
fn each_mistake_ends_in_the_sentence_that_is_documented() {
    let mistakes = mistakes::all();
    assert!(mistakes.len() > 15, "{mistakes:?}");
    let here = mistakes
        .iter()
        .filter(|mistake| !BOOTED.contains(&mistake.name));
    let told = here.map(|mistake| (mistake, said(&make(mistake))));
    let others: Vec<_> = told
        .filter(|(mistake, text)| !mistake.is_reported_in(text))
        .collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn the_mistakes_that_need_a_systemd_are_made_on_a_booted_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/booted");
    let files = fs::read_dir(folder).expect("it is there").flatten();
    let sources = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    let sources: String = sources.collect();
    for name in BOOTED {
        assert!(sources.contains(&format!("named(\"{name}\")")), "{name}");
        mistakes::named(name);
    }
}
