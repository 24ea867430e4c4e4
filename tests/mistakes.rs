//! `docs/troubleshooting.md`: each mistake is made and ends in the message that the page shows, and all other messages on the page
//! are in the sources.

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

/// Runs the program in a network namespace where nothing listens, without a settings file. `identity` is empty, or a setpriv(1)
/// command that runs the program as another user.
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
        ("privileged port", _) => alone(
            &[&["setpriv"], &NOBODY[..]].concat(),
            &["--listen=127.0.0.1:99"],
        ),
        ("not an address of this host", _) => quiet(PROGRAM, &["--listen=192.0.2.1:33333"]),
        ("missing socket", _) => query(&store_at(&folder().path().join("cri.sock"))),
        ("stale socket", _) => stale_socket(),
        ("no permission", _) => no_permission(),
        ("name that does not resolve", _) => {
            alone(&[], &["query", "--store=rkt+http://store.invalid:1"])
        }
        ("wrong port", _) => query(&format!("rkt+http://{}", nobody_there.address())),
        ("no store configured", _) => alone(&[], &["query"]),
        (name, None) => panic!("no test makes the mistake {name:?}"),
    }
}

#[test]
fn each_mistake_ends_in_the_documented_message() {
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

/// The socket unit can only be the cause of a port in use. A foreign address may be this host's once the network is up.
#[test]
fn the_error_for_an_address_has_its_cause_and_only_a_privileged_port_is_a_refused_configuration() {
    for (name, code, cause) in [
        ("port in use", 1, "Address already in use"),
        (
            "not an address of this host",
            1,
            "Cannot assign requested address",
        ),
        ("privileged port", 78, "Permission denied"),
    ] {
        let output = make(&mistakes::named(name));
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let text = said(&output);
        assert!(text.contains(cause), "{text}");
        let names_socket_unit = text.contains("exp-rkt-grpc.socket");
        assert_eq!(names_socket_unit, name == "port in use", "{text}");
    }
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

/// The fixed parts of a message, which are between values (`…` on the page, `{value}` in the sources) and between sentences.
fn parts(message: &str) -> impl Iterator<Item = &str> {
    let fixed = message.split(['{', '}']).step_by(2);
    let sentences = fixed.flat_map(|part| part.split(['…', ';', ':']));
    sentences.map(str::trim)
}

/// The program's sources, with each string on one line and `'` in place of escaped quotes.
fn sources() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("crates/scan/src")];
    let mut sources = String::new();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(folder).expect("it is there").flatten();
        for entry in entries.filter(|entry| entry.file_name() != "tests.rs") {
            match fs::read_to_string(entry.path()) {
                Ok(text) => {
                    let (program, _tests) = text
                        .split_once("#[cfg(test)]\nmod tests")
                        .unwrap_or((&text, ""));
                    sources.extend(program.split("\\\n").map(str::trim_start));
                }
                Err(_) => folders.push(entry.path()),
            }
        }
    }
    sources.replace("\\\"", "'")
}

#[test]
fn every_message_on_the_page_is_one_of_the_programs() {
    let sources = sources();
    let messages: Vec<String> = mistakes::messages()
        .map(|message| message.replace('"', "'"))
        .collect();
    let parts = messages.iter().flat_map(|message| parts(message));
    let others: Vec<&str> = parts.filter(|part| !sources.contains(part)).collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn every_error_type_of_the_program_is_on_the_page() {
    let page = include_str!("../docs/troubleshooting.md").replace('"', "'");
    let sources = sources();
    let attributes = sources.split("#[error(").skip(1).map(str::trim_start);
    let errors = attributes.filter_map(|attribute| attribute.strip_prefix('"')?.split('"').next());
    let missing: Vec<&str> = errors
        .filter(|error| {
            let longest = parts(error).max_by_key(|part| part.len());
            longest.is_some_and(|part| !page.contains(part))
        })
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
