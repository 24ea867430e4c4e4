//! The metrics server on the wire: methods, paths, HTTP, the metrics themselves, and misbehaving clients.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use lab::exposition::Scrape;
use lab::poll::eventually;
use lab::rkt_api_service::{Behaviour, Images, StandIn};
use lab::service::http::{Connection, LAST_SCRAPE, Response, SCRAPE};
use lab::service::{Builder, PATIENCE, ReservedPort, Service, Signal, Sleep};
use lab::skip;

#[path = "scrapes/format.rs"]
mod format;
#[path = "scrapes/held.rs"]
mod held;
#[path = "scrapes/limits.rs"]
mod limits;
#[path = "scrapes/openmetrics.rs"]
mod openmetrics;

const PROGRAM: &str = env!("CARGO_BIN_EXE_exp-rkt-grpc");

/// How long the service waits before it accepts again if it has run out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A request in two parts.
const HALF_A_REQUEST: &[u8] = b"GET /-/ready HTTP/1.1\r\nHost: loc";
const THE_OTHER_HALF: &[u8] = b"alhost\r\n\r\n";

fn service() -> Builder {
    quiet(Service::builder(PROGRAM))
}

/// Without traces, so that their counters do not change.
fn quiet(builder: Builder) -> Builder {
    builder.env("OTEL_TRACES_EXPORTER", "none")
}

/// Runs a shell script that ends in `exec "$0" "$@"`, which executes the service.
fn service_in(script: &str) -> Builder {
    quiet(
        Service::builder("/bin/sh")
            .arg("-c")
            .arg(script)
            .arg(PROGRAM),
    )
}

fn connect(service: &Service) -> Connection {
    Connection::open(service.endpoint()).expect("the service listens")
}

fn connect_many(service: &Service, count: usize) -> Vec<Connection> {
    (0..count).map(|_| connect(service)).collect()
}

fn ask(service: &Service, method: &str, path: &str) -> Response {
    let mut connection = connect(service);
    connection
        .request(method, path, &[])
        .expect("the request is answered")
}

fn requests(scrape: &Scrape, path: &str, code: &str) -> Option<f64> {
    let labels = [("path", path), ("code", code)];
    scrape.value("exp_rkt_grpc_http_requests_total", &labels)
}

fn of_rkt(scrape: &Scrape, name: &str) -> Option<f64> {
    scrape.value(name, &[("store", "rkt")])
}

/// The headers, with the values that differ between answers masked.
fn stable_headers(response: &Response) -> Vec<(&str, &str)> {
    let headers = response.headers.iter();
    headers
        .map(|(name, value)| match name.as_str() {
            "date" | "content-length" => (name.as_str(), "_"),
            name => (name, value.as_str()),
        })
        .collect()
}

mod methods_and_paths {
    use super::*;

    #[test]
    fn an_unknown_path_is_not_found() {
        let service = service().start();
        assert_eq!(service.get("/nothing").status, 404);
        assert_eq!(service.get("/metrics/").status, 404);
    }

    #[test]
    fn methods_other_than_get_and_head_are_refused_with_an_allow_header() {
        let service = service().start();
        for path in ["/metrics", "/", "/-/healthy", "/-/ready"] {
            for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
                let response = ask(&service, method, path);
                assert_eq!(response.status, 405, "{method} {path}");
                assert_eq!(
                    response.header("allow"),
                    Some("GET, HEAD"),
                    "{method} {path}"
                );
            }
        }
    }

    #[test]
    fn the_body_of_a_refused_request_does_not_become_the_next_request() {
        let service = service().start();
        let body = "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut connection = connect(&service);
        let request = format!(
            "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        connection
            .send(request.as_bytes())
            .expect("the connection is open");
        assert_eq!(
            connection
                .receive()
                .expect("the request is answered")
                .status,
            405
        );
        assert_eq!(requests(&service.scrape(), "other", "404"), None);
    }

    #[test]
    fn head_answers_with_the_headers_of_get_and_no_body() {
        let service = service().start();
        for path in ["/metrics", "/", "/-/healthy", "/-/ready", "/nothing"] {
            let mut connection = connect(&service);
            let get = connection.get(path).expect("the request is answered");
            let head = connection
                .request("HEAD", path, &[])
                .expect("the answer has no body");
            let again = connection
                .get(path)
                .expect("the previous answer had no body");
            assert_eq!(head.status, get.status, "{path}");
            assert_eq!(stable_headers(&head), stable_headers(&get), "{path}");
            let length = head
                .header("content-length")
                .expect("the answer has a length");
            let length: usize = length.parse().expect("the length is a number");
            // Between requests the exposition may grow by some digits, and by a line for the first answer with a status.
            let possible = get.body.len().saturating_sub(16)..=again.body.len() + 16;
            assert!(possible.contains(&length), "{path}: {length}, {possible:?}");
        }
    }

    #[test]
    fn metrics_are_served_in_the_text_format_in_utf_8() {
        let response = service().start().get("/metrics");
        let content_type = response.header("content-type");
        assert_eq!(
            content_type,
            Some("text/plain; version=0.0.4; charset=utf-8")
        );
        assert_eq!(response.status, 200);
    }

    #[test]
    fn a_query_string_is_ignored() {
        let service = service().start();
        let response = service.get("/metrics?name%5B%5D=process_open_fds");
        Scrape::parse(response.text()).expect("the exposition is valid");
        assert_eq!(requests(&service.scrape(), "/metrics", "200"), Some(1.0));
    }

    #[test]
    fn the_status_page_permits_its_own_style_only_and_is_not_stored() {
        let page = service().start().get("/");
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(page.header(name), Some(value), "{name}");
        }
        let policy = page.header("content-security-policy");
        let policy = policy.expect("the page has a policy");
        for directive in ["default-src 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(directive), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn the_status_page_links_to_pages_that_exist() {
        let service = service().start();
        let page = service.get("/");
        let links: BTreeSet<_> = page
            .text()
            .split("<a href=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert_eq!(
            links,
            BTreeSet::from(["/-/healthy", "/-/ready", "/metrics"])
        );
        for link in links {
            assert_eq!(service.get(link).status, 200, "{link}");
        }
    }

    #[test]
    fn a_running_service_is_healthy_and_ready() {
        let service = service().start();
        assert_eq!(service.get("/-/healthy").text(), "healthy\n");
        assert_eq!(service.get("/-/ready").text(), "ready\n");
    }

    #[test]
    fn a_stopping_service_is_healthy_and_not_ready() {
        let service = service().start();
        let answers = [
            ("/-/ready", 503, "stopping\n"),
            ("/-/healthy", 200, "healthy\n"),
            ("/metrics", 200, "# HELP "),
        ];
        let mut begun = answers.map(|(path, ..)| {
            let mut connection = connect(&service);
            let half = format!("GET {path} HTTP/1.1\r\nHost: loc");
            let sent = connection.send(half.as_bytes());
            sent.expect("the connection is open");
            connection
        });
        // Connections are accepted in order: once this scrape is answered, the others have been accepted.
        service.scrape();
        service.signal(Signal::TERM);
        service.wait_for_notification(|sent| sent.says("STOPPING", "1"), PATIENCE);

        for (connection, (path, status, text)) in begun.iter_mut().zip(answers) {
            let sent = connection.send(THE_OTHER_HALF);
            sent.expect("the connection is open");
            let response = connection.receive();
            let response = response.expect("the request is still answered");
            assert_eq!(response.status, status, "{path}");
            assert!(response.text().starts_with(text), "{path}: {response:?}");
            assert_eq!(response.header("connection"), Some("close"), "{path}");
        }
        assert_eq!(service.wait(PATIENCE).code(), Some(0));
    }

    #[test]
    fn requests_are_counted_by_path_and_code() {
        let service = service().start();
        for path in ["/", "/-/healthy", "/-/ready", "/nothing", "/else?/metrics"] {
            service.get(path);
        }
        ask(&service, "POST", "/metrics");
        ask(&service, "POST", "/nothing");
        service.scrape();
        let scrape = service.scrape();
        assert_eq!(requests(&scrape, "/", "200"), Some(1.0));
        assert_eq!(requests(&scrape, "/-/healthy", "200"), Some(1.0));
        assert_eq!(requests(&scrape, "/-/ready", "200"), Some(1.0));
        assert_eq!(requests(&scrape, "/metrics", "405"), Some(1.0));
        assert_eq!(requests(&scrape, "/metrics", "200"), Some(1.0));
        assert_eq!(requests(&scrape, "other", "404"), Some(3.0));
        assert_eq!(scrape.sum("exp_rkt_grpc_http_requests_total"), Some(8.0));
    }
}

mod protocol {
    use super::*;

    #[test]
    fn input_that_is_not_http_is_answered_with_400_and_closed() {
        let service = service().start();
        for garbage in [
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
            b"GET /metrics\r\n\r\n",
            b"hello\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\nno colon\r\n\r\n",
        ] {
            let answer = service.request(garbage);
            let answer = String::from_utf8_lossy(&answer);
            let sent = String::from_utf8_lossy(garbage);
            assert!(answer.starts_with("HTTP/1.1 400 "), "{sent:?}: {answer:?}");
        }
        service.scrape();
    }

    #[test]
    fn an_http_2_connection_is_closed() {
        let service = service().start();
        service.request(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        service.scrape();
    }

    #[test]
    fn a_request_with_too_many_header_fields_is_answered_with_431_and_closed() {
        let service = service().start();
        let fields = "X-Field: value\r\n".repeat(101);
        let request = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        let answer = service.request(request.as_bytes());
        assert!(answer.starts_with(b"HTTP/1.1 431 "), "{answer:?}");
        service.scrape();
    }

    #[test]
    fn an_endless_request_head_is_cut_off() {
        let service = service().start();
        let mut connection = connect(&service);
        connection
            .send(b"GET /metrics HTTP/1.1\r\nX-Endless: ")
            .expect("the connection is open");
        let refused = (0..1024).any(|_| connection.send(&[b'x'; 16 * 1024]).is_err());
        assert!(refused, "the service accepted 16 MiB");
        service.scrape();
    }

    #[test]
    fn a_connection_can_be_reused() {
        let service = service().start();
        let mut connection = connect(&service);
        for _ in 0..3 {
            assert_eq!(
                connection
                    .get("/metrics")
                    .expect("the connection is open")
                    .status,
                200
            );
        }
        assert_eq!(
            connection
                .get("/nothing")
                .expect("the connection is open")
                .status,
            404
        );
        assert_eq!(
            connection
                .get("/-/ready")
                .expect("the connection is open")
                .status,
            200
        );
    }

    #[test]
    fn pipelined_requests_are_answered_in_order() {
        let service = service().start();
        let mut connection = connect(&service);
        let request = |path| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let all = ["/-/healthy", "/nothing", "/-/ready"].map(request).concat();
        connection
            .send(all.as_bytes())
            .expect("the connection is open");
        for expected in ["healthy\n", "not found; see /\n", "ready\n"] {
            let response = connection.receive().expect("every request is answered");
            assert_eq!(response.text(), expected);
        }
    }

    #[test]
    fn a_request_that_arrives_byte_by_byte_is_answered() {
        let service = service().start();
        let mut connection = connect(&service);
        for byte in [HALF_A_REQUEST, THE_OTHER_HALF].concat() {
            connection.send(&[byte]).expect("the connection is open");
        }
        assert_eq!(
            connection
                .receive()
                .expect("the request is answered")
                .status,
            200
        );
    }

    #[test]
    fn http_1_0_is_answered_and_closed() {
        let service = service().start();
        let answer = service.request(b"GET /metrics HTTP/1.0\r\n\r\n");
        let answer = String::from_utf8(answer).expect("the answer is UTF-8");
        assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
        let (_, body) = answer
            .split_once("\r\n\r\n")
            .expect("the answer has a body");
        Scrape::parse(body).expect("the exposition is valid");
    }

    /// RFC 9112, section 3.2.
    #[test]
    fn a_request_without_exactly_one_valid_host_is_answered_with_400_and_closed() {
        let service = service().start();
        for (head, status) in [
            ("GET /metrics HTTP/1.1", "HTTP/1.1 400 "),
            (
                "GET /metrics HTTP/1.1\r\nHost: one\r\nHost: two",
                "HTTP/1.1 400 ",
            ),
            (
                "GET /metrics HTTP/1.1\r\nHost: one\r\nhost: one",
                "HTTP/1.1 400 ",
            ),
            ("GET /metrics HTTP/1.1\r\nHost: a b", "HTTP/1.1 400 "),
            ("GET /metrics HTTP/1.1\r\nHost: a/b", "HTTP/1.1 400 "),
            ("GET http://one/metrics HTTP/1.1", "HTTP/1.1 400 "),
            ("POST /nothing HTTP/1.1", "HTTP/1.1 400 "),
            (
                "GET /metrics HTTP/1.0\r\nHost: one\r\nHost: two",
                "HTTP/1.0 400 ",
            ),
        ] {
            let answer = service.request(format!("{head}\r\n\r\n").as_bytes());
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with(status), "{head:?}: {answer}");
            assert!(answer.contains("Host"), "{head:?}: {answer}");
        }
        let refused = requests(&service.scrape(), "/metrics", "400");
        assert_eq!(refused, Some(7.0));
    }

    #[test]
    fn every_valid_host_is_answered() {
        let service = service().start();
        for host in [
            "",
            "localhost",
            "127.0.0.1:33333",
            "[::1]:33333",
            "example.com:",
        ] {
            let mut connection = connect(&service);
            let request = format!("GET /-/ready HTTP/1.1\r\nHost: {host}\r\n\r\n");
            connection
                .send(request.as_bytes())
                .expect("the connection is open");
            let answer = connection.receive().expect("the request is answered");
            assert_eq!(answer.status, 200, "{host:?}");
        }
    }

    #[test]
    fn a_connection_is_closed_if_the_client_requests_it() {
        let service = service().start();
        let request = b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        assert!(service.request(request).ends_with(b"ready\n"));
    }

    /// The clients shut down their sending side before the answer, on connections accepted before the request and after it.
    #[test]
    fn clients_that_have_shut_down_their_sending_side_are_all_answered() {
        let service = service().start();
        let mut clients = connect_many(&service, 25);
        // Connections are accepted in order: once this scrape is answered, the others have been accepted.
        service.scrape();
        service.freeze();
        clients.extend(connect_many(&service, 25));
        for client in &mut clients {
            client
                .send(b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .expect("the kernel accepts it");
            client.finish().expect("the connection is open");
        }
        service.thaw();
        let answers = clients.iter_mut().map(Connection::receive);
        let statuses: Vec<_> = answers
            .map(|answer| answer.map(|answer| answer.status).ok())
            .collect();
        assert_eq!(statuses, [Some(200); 50]);
    }
}

mod content {
    use super::*;

    #[test]
    fn before_the_first_query_counters_are_zero() {
        let scrape = service().start().scrape();
        assert_eq!(of_rkt(&scrape, "imagestore_queries_total"), Some(0.0));
        assert_eq!(scrape.sum("imagestore_query_failures_total"), Some(0.0));
        assert_eq!(
            scrape.samples("imagestore_query_failures_total").count(),
            16
        );
        assert_eq!(scrape.sum("exp_rkt_grpc_triggers_total"), Some(0.0));
        assert_eq!(scrape.sum("exp_rkt_grpc_traces_total"), Some(0.0));
    }

    #[test]
    fn a_scrape_sends_nothing_to_a_store() {
        let stand_in = StandIn::tcp(Images::generated(3));
        let service = service().store(stand_in.url()).start();
        let mut connection = connect(&service);
        for _ in 0..100 {
            connection.get("/metrics").expect("the request is answered");
        }
        assert_eq!((stand_in.connections(), stand_in.calls().len()), (0, 0));
        service.query();
        // One call lists the images, the other asks for the version.
        let asked = (stand_in.connections(), stand_in.calls().len());
        assert_eq!(asked, (1, 2));
        for _ in 0..100 {
            connection.get("/metrics").expect("the request is answered");
        }
        assert_eq!((stand_in.connections(), stand_in.calls().len()), asked);
    }

    #[test]
    fn a_scrape_is_answered_while_a_store_hangs() {
        let stand_in = StandIn::tcp(Images::generated(3));
        stand_in.behave(Behaviour::Hang);
        let service = service().store(stand_in.url()).start();
        service.trigger();
        stand_in.wait_for_calls(1, PATIENCE);
        let scrape = service.scrape();
        assert_eq!(of_rkt(&scrape, "imagestore_queries_total"), Some(0.0));
    }
}

/// The `process_*` families, compared with what the kernel shows about the process.
mod process {
    use super::*;

    #[test]
    fn process_open_fds_is_that_of_the_process() {
        let service = service().start();
        service.wait_until_idle();
        let mut connection = connect(&service);
        let reported = scraped(&mut connection, "process_open_fds");
        assert_eq!(reported, service.fds() as f64);
    }

    #[test]
    fn process_max_fds_is_the_soft_limit() {
        let service = service_in("ulimit -S -n 77; exec \"$0\" \"$@\"").start();
        assert_eq!(service.scrape().value("process_max_fds", &[]), Some(77.0));
    }

    #[test]
    fn process_virtual_memory_max_bytes_is_the_soft_limit() {
        // ulimit counts in units of 1024 bytes.
        let service = service_in("ulimit -S -v 4194304; exec \"$0\" \"$@\"").start();
        let scrape = service.scrape();
        let reported = scrape.value("process_virtual_memory_max_bytes", &[]);
        assert_eq!(reported, Some(4_294_967_296.0));
    }

    #[test]
    fn process_threads_is_that_of_the_process() {
        let service = service().start();
        let reported = service.scrape().value("process_threads", &[]);
        assert_eq!(reported, Some(service.threads() as f64));
    }

    #[test]
    fn the_memory_metrics_are_those_of_the_process() {
        let service = service().start();
        let mut connection = connect(&service);
        for (family, field) in [
            ("process_resident_memory_bytes", "VmRSS:"),
            ("process_virtual_memory_bytes", "VmSize:"),
        ] {
            let reported = scraped(&mut connection, family);
            let seen = status_kib(&service, field) * 1024.0;
            assert!(
                (0.5..2.0).contains(&(reported / seen)),
                "{family}: {reported}, {seen}"
            );
        }
    }

    #[test]
    fn process_cpu_seconds_total_is_that_of_the_process_and_grows_with_its_work() {
        let service = service().start();
        let mut connection = connect(&service);
        let before = scraped(&mut connection, "process_cpu_seconds_total");
        for _ in 0..100 {
            connection.get("/metrics").expect("the request is answered");
        }
        let after = scraped(&mut connection, "process_cpu_seconds_total");
        assert!(0.0 < before && before < after, "{before}, {after}");
        // The kernel samples CPU time in ticks, and rounds user and system time down separately.
        let seen = cpu_time(&service).as_secs_f64();
        assert!((after - seen).abs() < 0.1 + seen / 2.0, "{after}, {seen}");
    }

    #[test]
    fn the_start_time_is_that_of_the_process() {
        assert_start_time(&service().start());
    }

    #[test]
    fn the_start_time_is_correct_if_proc_stat_is_hidden() {
        if let Some(service) = in_own_mounts("mount -t proc -o subset=pid proc /proc") {
            assert!(!inside(&service, "/proc/stat").exists());
            assert_start_time(&service);
        }
    }

    #[test]
    fn the_start_time_is_correct_if_proc_stat_is_empty() {
        if let Some(service) = in_own_mounts("mount --bind /dev/null /proc/stat") {
            let seen = fs::read(inside(&service, "/proc/stat")).expect("root may read it");
            assert_eq!(seen, b"");
            assert_start_time(&service);
        }
    }

    /// A path as the service sees it.
    fn inside(service: &Service, path: &str) -> PathBuf {
        format!("/proc/{}/root{path}", service.pid()).into()
    }

    /// The service in a mount namespace; `None` if this process may not create one.
    fn in_own_mounts(mount: &str) -> Option<Service> {
        let may = Command::new("unshare")
            .args(["--mount", "/bin/sh", "-c", mount])
            .output()
            .expect("unshare is installed (Debian: util-linux)");
        if !may.status.success() {
            let why = String::from_utf8_lossy(&may.stderr).into_owned();
            skip::loudly(format_args!("only root can mount: {why}"));
            return None;
        }
        let script = format!("{mount} && exec \"$0\" \"$@\"");
        let unshared = Service::builder("unshare").arg("--mount").arg("/bin/sh");
        let builder = unshared.arg("-c").arg(script).arg(PROGRAM);
        Some(quiet(builder).start())
    }

    #[track_caller]
    fn assert_start_time(service: &Service) {
        let scrape = service.scrape();
        let reported = scrape
            .value("process_start_time_seconds", &[])
            .expect("the scrape has the start time");
        let ticks: f64 = stat(service)[19].parse().expect("the field is a number");
        let seen = boot_time() + ticks / TICKS_PER_SECOND;
        // The boot time is in whole seconds.
        assert!((reported - seen).abs() <= 1.0, "{reported}, {seen}");
    }

    fn boot_time() -> f64 {
        let stat = fs::read_to_string("/proc/stat").expect("/proc/stat can be read");
        stat.lines()
            .find_map(|line| line.strip_prefix("btime "))
            .and_then(|seconds| seconds.parse().ok())
            .expect("/proc/stat has the boot time")
    }

    fn scraped(connection: &mut Connection, family: &str) -> f64 {
        let response = connection.get("/metrics").expect("the request is answered");
        let scrape = Scrape::parse(response.text()).expect("the exposition is valid");
        scrape
            .value(family, &[])
            .expect("the scrape has the family")
    }

    fn status_kib(service: &Service, field: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", service.pid()));
        status
            .expect("the service runs")
            .lines()
            .find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB"))
            .and_then(|size| size.parse().ok())
            .expect("the kernel shows the size in KiB")
    }
}

/// `getconf CLK_TCK`, which is the same on every current Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// The fields of `/proc/PID/stat` from the third on, see proc_pid_stat(5).
fn stat(service: &Service) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", service.pid()));
    let stat = stat.expect("the service runs");
    let (_, fields) = stat
        .rsplit_once(") ")
        .expect("the command is in parentheses");
    fields.split(' ').map(str::to_owned).collect()
}

/// User and system time.
fn cpu_time(service: &Service) -> Duration {
    let ticks = |field: &String| field.parse::<f64>().expect("the field is a number");
    let fields = stat(service);
    Duration::from_secs_f64((ticks(&fields[11]) + ticks(&fields[12])) / TICKS_PER_SECOND)
}
