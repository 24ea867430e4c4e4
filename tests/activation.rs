//! The metrics socket: systemd passes it (socket activation), or the service binds it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Output};

use lab::service::{
    Activation, Builder, Endpoint, Listen, PATIENCE, ReservedPort, Service, http, run,
};
use lab::{skip, tempdir};
use socket2::{Domain, SockAddr, Socket, Type};

#[path = "activation/refused.rs"]
mod refused;

const PROGRAM: &str = env!("CARGO_BIN_EXE_exp-rkt-grpc");

/// EX_CONFIG of sysexits.h.
const EX_CONFIG: i32 = 78;

/// `O_CLOEXEC` and `O_NONBLOCK` in `/proc/PID/fdinfo`, see open(2).
const CLOSE_ON_EXEC: u32 = 0o2_000_000;
const NONBLOCKING: u32 = 0o4_000;

fn service() -> Builder {
    Service::builder(PROGRAM)
}

/// Runs the program with `LISTEN_PID` set to its own process id, as systemd does, and with `socket` as descriptor 3.
fn run_with_descriptor_3(socket: OwnedFd) -> Output {
    let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\"";
    Command::new("timeout")
        .arg(PATIENCE.as_secs().to_string())
        .args(["/bin/sh", "-c", script, PROGRAM])
        .stdin(socket)
        .output()
        .expect("timeout(1) can be run")
}

/// Runs the program with `LISTEN_PID` set to its own process id and with these variables, but passes no descriptor.
fn run_announced(environment: &[(&str, &str)]) -> Output {
    let script = "LISTEN_PID=$$ exec \"$0\"";
    run("/bin/sh", ["-c", script, PROGRAM], environment)
}

/// The program refused its configuration, and its message contains all of `words`.
#[track_caller]
fn assert_refused(output: &Output, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(EX_CONFIG), "{stderr}");
    assert_contains(&stderr, words);
}

#[track_caller]
fn assert_contains(stderr: &str, words: &[&str]) {
    for word in words {
        assert!(stderr.contains(word), "{word:?} is missing in:\n{stderr}");
    }
}

/// Waits until the service has logged all of `words`.
#[track_caller]
fn wait_for_words(service: &Service, words: &[&str]) {
    let logged = |text: &str| words.iter().all(|word| text.contains(word));
    service.wait_for_stderr(logged, PATIENCE);
}

/// systemd-socket-activate(1) with a datagram socket: the first datagram starts the program.
fn awaiting_datagram_at(address: &str) -> Service {
    let service = Service::builder("systemd-socket-activate")
        .arg("--datagram")
        .arg("--listen")
        .arg(address)
        .arg(PROGRAM)
        .spawn();
    service.wait_for_stderr(|text| text.contains("Listening on "), PATIENCE);
    service
}

#[track_caller]
fn assert_refuses_datagrams(service: &Service) {
    let status = service.wait(PATIENCE);
    assert_eq!(status.code(), Some(EX_CONFIG), "{}", service.stderr());
    assert_contains(
        &service.stderr(),
        &["not a listening stream socket", "ListenStream="],
    );
}

fn bound_tcp_socket() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
    let any_port = SockAddr::from(std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    socket.bind(&any_port).expect("a loopback port is free");
    socket
}

/// The flags of one of the service's descriptors; `None` if it has been closed since, as those of connections are.
fn flags(service: &Service, descriptor: &str) -> Option<u32> {
    let path = format!("/proc/{}/fdinfo/{descriptor}", service.pid());
    let info = fs::read_to_string(path).ok()?;
    let flags = info
        .lines()
        .find_map(|line| line.strip_prefix("flags:"))
        .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    Some(flags.expect("the kernel shows the flags in octal"))
}

/// The service's sockets: descriptor and inode.
fn sockets(service: &Service) -> Vec<(String, String)> {
    fs::read_dir(format!("/proc/{}/fd", service.pid()))
        .expect("the service runs")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter_map(|path| {
            let target = fs::read_link(&path).ok()?.into_os_string();
            let inode = target
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')?;
            Some((path.file_name()?.to_str()?.to_owned(), inode.to_owned()))
        })
        .collect()
}

/// The descriptor of the metrics socket.
fn metrics_socket(service: &Service) -> String {
    const LISTEN: &str = "0A";
    let port = format!(":{:04X}", service.address().port());
    let table = fs::read_to_string("/proc/net/tcp").expect("the kernel lists TCP sockets");
    let inode = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|fields| fields[1].ends_with(&port) && fields[3] == LISTEN)
        .map(|fields| fields[9])
        .expect("the service listens");
    sockets(service)
        .into_iter()
        .find_map(|(descriptor, its_inode)| (its_inode == inode).then_some(descriptor))
        .expect("the socket is one of the service's")
}

/// All sockets are close-on-exec, and the metrics socket is non-blocking.
#[track_caller]
fn assert_socket_flags(service: &Service) {
    for (descriptor, _) in sockets(service) {
        if let Some(flags) = flags(service, &descriptor) {
            assert!(flags & CLOSE_ON_EXEC != 0, "{descriptor}: {flags:o}");
        }
    }
    let flags = flags(service, &metrics_socket(service)).expect("the metrics socket is open");
    assert!(flags & NONBLOCKING != 0, "{flags:o}");
}

#[test]
fn a_stored_descriptor_with_foreign_content_is_ignored_and_logged() {
    let service = service()
        .activation(Activation::tcp().preceded_by("state-1"))
        .start();
    service.wait_for_stderr(
        |log| {
            let mut lines = log.lines();
            lines
                .any(|line| line.contains("WARN stored descriptor ignored name=\"state-1\" error="))
        },
        PATIENCE,
    );
    service.scrape();
}

#[test]
fn several_sockets_without_one_named_metrics_are_refused_and_listed_by_name() {
    let service = service()
        .activation(Activation::tcp().named("admin").preceded_by("debug"))
        .unsupervised()
        .spawn();
    let _first = http::Connection::open(service.endpoint()).expect("the socket listens");
    assert_eq!(service.wait(PATIENCE).code(), Some(EX_CONFIG));
    assert_contains(
        &service.stderr(),
        &[
            r#"["debug", "admin"]"#,
            "\"metrics\"",
            "FileDescriptorName=metrics",
        ],
    );
}

#[test]
fn a_unix_datagram_socket_is_refused() {
    let folder = tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("socket");
    let service = awaiting_datagram_at(path.to_str().expect("a temporary path is UTF-8"));
    let sender = UnixDatagram::unbound().expect("a socket can be made");
    sender
        .send_to(b"wake up", &path)
        .expect("the socket is bound");
    assert_refuses_datagrams(&service);
}

#[test]
fn a_udp_socket_is_refused() {
    // An address that only this process uses, and a port outside of the ephemeral range.
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = SocketAddr::from((Ipv4Addr::new(127, 98, high, low), 7777));
    let service = awaiting_datagram_at(&address.to_string());
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    sender
        .send_to(b"wake up", address)
        .expect("the socket is bound");
    assert_refuses_datagrams(&service);
}

#[test]
fn a_socket_that_does_not_listen_is_refused() {
    let output = run_with_descriptor_3(bound_tcp_socket().into());
    assert_refused(
        &output,
        &[
            "not a listening stream socket",
            "listen(2) was never called",
        ],
    );
}

#[test]
fn a_descriptor_that_is_not_a_socket_is_refused() {
    let file = fs::File::open("/dev/null").expect("/dev/null always exists");
    let output = run_with_descriptor_3(file.into());
    assert_refused(&output, &["not a listening stream socket"]);
}

#[test]
fn an_unparsable_number_of_sockets_is_refused() {
    assert_refused(&run_announced(&[("LISTEN_FDS", "many")]), &["LISTEN_FDS"]);
}

#[test]
fn an_announced_descriptor_that_is_not_open_is_refused() {
    let output = run_announced(&[("LISTEN_FDS", "1")]);
    assert_refused(&output, &["systemd"]);
}

#[test]
fn more_names_than_sockets_are_refused() {
    let names = [("LISTEN_FDS", "0"), ("LISTEN_FDNAMES", "metrics:admin")];
    assert_refused(&run_announced(&names), &["LISTEN_FDNAMES"]);
}

#[test]
fn overlong_names_of_passed_sockets_are_truncated_in_the_message() {
    let endless = "x".repeat(60_000);
    let script = "exec 3</dev/null 4</dev/null; LISTEN_PID=$$ exec \"$0\"";
    let names = format!("{endless}:other");
    let environment = [("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", &names)];
    let output = run("/bin/sh", ["-c", script, PROGRAM], &environment);
    assert_refused(
        &output,
        &["xxxxxxxx", "[cut]", "FileDescriptorName=metrics"],
    );
    assert!(output.stderr.len() < 1500, "{} bytes", output.stderr.len());
    let output = run_announced(&[("LISTEN_FDS", &endless)]);
    assert_refused(&output, &["LISTEN_FDS"]);
    assert!(output.stderr.len() < 1500, "{} bytes", output.stderr.len());
}

#[test]
fn a_systemd_service_without_a_passed_socket_refuses_to_start_and_names_the_unit_to_restart() {
    let refused = run(PROGRAM, [""; 0], &[("NOTIFY_SOCKET", "/run/nowhere")]);
    assert_refused(
        &refused,
        &[
            "systemd passed no socket",
            "systemctl restart exp-rkt-grpc.socket",
            "--listen (EXP_RKT_GRPC_LISTEN)",
        ],
    );
}

#[test]
fn the_query_command_needs_no_socket() {
    let store = lab::rkt_api_service::StandIn::tcp(lab::rkt_api_service::Images::generated(1));
    let environment = [
        ("NOTIFY_SOCKET", "/run/nowhere"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ];
    let output = run(PROGRAM, ["query", "--store", &store.url()], &environment);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_listen_address_beside_a_passed_socket_causes_a_warning_that_names_the_socket_unit() {
    let port = ReservedPort::reserve();
    let address = port.address().to_string();
    for given in [
        service().env("EXP_RKT_GRPC_LISTEN", &address),
        service().arg("--listen").arg(&address),
    ] {
        let service = given.activation(Activation::tcp()).start();
        assert!(service.stop().success());
        let stderr = service.stderr();
        let mut warnings = stderr.lines().filter(|line| line.contains(" WARN "));
        let remedy = [
            "--listen (EXP_RKT_GRPC_LISTEN)",
            &address,
            "systemctl edit exp-rkt-grpc.socket",
            "systemctl restart exp-rkt-grpc.socket",
        ];
        assert_contains(warnings.next().expect("a warning is logged"), &remedy);
        assert_eq!(warnings.next(), None);
    }
}

#[test]
fn a_passed_socket_without_a_listen_address_causes_no_warning() {
    let service = service().activation(Activation::tcp()).start();
    assert!(service.stop().success());
    assert!(!service.stderr().contains(" WARN "), "{}", service.stderr());
}

#[test]
fn sockets_passed_to_another_process_are_ignored() {
    let service = service()
        .env("LISTEN_PID", "1")
        .env("LISTEN_FDS", "1")
        .start();
    wait_for_words(&service, &["bound by the service"]);
    service.scrape();
}

#[test]
fn the_first_scrape_of_a_tcp_socket_starts_the_service_and_is_answered() {
    let service = service().activation(Activation::tcp()).spawn();
    assert_eq!(service.notifications(), []);
    service.scrape();
    wait_for_words(
        &service,
        &["passed by systemd", &service.address().to_string()],
    );
}

#[test]
fn the_first_scrape_of_a_unix_socket_starts_the_service_and_is_answered() {
    let folder = tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("metrics");
    let service = service().activation(Activation::unix(&path)).spawn();
    assert_eq!(service.notifications(), []);
    service.scrape();
    wait_for_words(
        &service,
        &["passed by systemd", &path.display().to_string()],
    );
}

#[test]
fn of_several_sockets_the_one_named_metrics_is_served() {
    let activation = Activation::tcp().preceded_by("debug").preceded_by("admin");
    let service = service().activation(activation).start();
    service.scrape();
    wait_for_words(&service, &[&service.address().to_string()]);
}

#[test]
fn a_single_socket_is_served_whatever_its_name() {
    let activation = Activation::tcp().named("exp-rkt-grpc.socket");
    service().activation(activation).start().scrape();
}

#[test]
fn a_passed_socket_takes_precedence_over_the_listen_flag() {
    let port = ReservedPort::reserve();
    let service = service()
        .arg(format!("--listen={}", port.address()))
        .activation(Activation::tcp())
        .start();
    service.scrape();
    assert!(http::Connection::open(port.address()).is_err());
}

#[test]
fn passed_sockets_are_close_on_exec_and_the_metrics_socket_is_non_blocking() {
    let service = service()
        .activation(Activation::tcp().preceded_by("admin"))
        .start();
    assert_socket_flags(&service);
}

#[test]
fn a_socket_that_the_service_binds_is_close_on_exec_and_non_blocking() {
    let service = service().start();
    assert_socket_flags(&service);
}

#[test]
fn without_a_passed_socket_the_service_binds_the_address_of_the_flag() {
    let service = service().start();
    service.scrape();
    wait_for_words(
        &service,
        &["bound by the service", &service.address().to_string()],
    );
}

#[test]
fn the_service_can_be_scraped_over_ipv6() {
    let loopback = "[::1]:0".parse().expect("this is an address");
    if let Err(error) = TcpListener::bind(loopback) {
        skip::loudly(format_args!("IPv6 is not available: {error}"));
        return;
    }
    let service = service().listen(Listen::Flag(loopback)).start();
    let log = service.wait_for_stderr(|text| text.contains("stores="), PATIENCE);
    let address = log
        .split_whitespace()
        .find_map(|word| word.strip_prefix("address="))
        .expect("the log line has the address");
    assert!(address.starts_with("[::1]:"), "{address}");
    let address: std::net::SocketAddr = address.parse().expect("the log line has a socket address");
    let response = http::get(Endpoint::from(address), "/metrics").expect("the scrape is answered");
    assert_eq!(response.status, 200);
}
