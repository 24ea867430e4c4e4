//! Name lookups on a host other than the build host: another Debian release, with all of systemd's NSS modules installed. The
//! program brings its own C library, which must not load these modules, since they are built for another one.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Output};

use lab::debian::{self, Suite};
use lab::jaeger_agent::JaegerAgent;
use lab::name_server::NameServer;
use lab::otlp_collector::OtlpCollector;
use lab::rkt_api_service::{Images, StandIn};
use lab::service::{PATIENCE, run};
use lab::skip;

use super::built::packages;

const IMAGES: usize = 3;

/// A name that the other host's /etc/hosts maps to 127.0.0.1.
const IN_HOSTS: &str = "in-hosts.example";

/// A name that the other host's name server maps to 127.0.0.1.
const IN_DNS: &str = "in-dns.example";

/// A name that neither of them knows.
const UNKNOWN: &str = "unknown.example";

/// Runs the program at $1 on the host whose files are in $0. All changes vanish with the mount namespace.
const ELSEWHERE: &str = r#"
    set -e
    mount -t tmpfs tmpfs /mnt
    mkdir /mnt/upper /mnt/work /mnt/root
    mount -t overlay overlay -o "lowerdir=$0,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
    cp "$1" /mnt/root/usr/bin/exp-rkt-grpc
    rm -f /mnt/root/etc/hosts /mnt/root/etc/resolv.conf
    printf %s "$HOSTS" >/mnt/root/etc/hosts
    printf %s "$RESOLVER" >/mnt/root/etc/resolv.conf
    shift
    exec chroot /mnt/root /usr/bin/exp-rkt-grpc "$@"
"#;

/// The other host, its name server, and a store on this one.
struct Scene {
    root: &'static Path,
    name_server: NameServer,
    store: StandIn,
}

impl Scene {
    /// `None` if this is not possible: the skipped test is reported, which fails the run in CI. The name server's loopback
    /// address is derived from `host`.
    fn set(host: u8) -> Option<Self> {
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 100 + host, high, low);
        let bound = NameServer::bind_at(address, &[IN_DNS]);
        let mounts = Command::new("unshare").args(["--mount", "true"]).output();
        if let Ok(name_server) = bound
            && mounts.is_ok_and(|output| output.status.success())
        {
            return Some(Self {
                root: other_host()?,
                name_server,
                store: StandIn::tcp(Images::generated(IMAGES)),
            });
        }
        skip::loudly("only root can bind port 53 and create a mount namespace");
        None
    }

    /// Runs `exp-rkt-grpc query` on the other host.
    fn query(&self, store_host: &str, environment: &[(&str, &str)]) -> Output {
        self.query_with_resolver(&self.name_server.settings(), store_host, environment)
    }

    fn query_with_resolver(
        &self,
        resolver: &str,
        store_host: &str,
        environment: &[(&str, &str)],
    ) -> Output {
        let port = self.store.address().port();
        let store = format!("rkt+http://{store_host}:{port}");
        let program = packages().program();
        let hosts = format!("127.0.0.1 localhost {IN_HOSTS}\n");
        let mut all = vec![("HOSTS", hosts.as_str()), ("RESOLVER", resolver)];
        all.extend(environment);
        run(
            "unshare",
            [
                "--mount".as_ref(),
                "sh".as_ref(),
                "-c".as_ref(),
                ELSEWHERE.as_ref(),
                self.root.as_os_str(),
                program.as_os_str(),
                "query".as_ref(),
                "--store".as_ref(),
                store.as_ref(),
            ],
            &all,
        )
    }
}

/// The root of the other host; panics unless its nsswitch.conf lists all the modules. `None` if there is no such root.
fn other_host() -> Option<&'static Path> {
    let root = debian::root(Suite::Trixie)?;
    let settings = fs::read_to_string(root.join("etc/nsswitch.conf")).expect("the file exists");
    let hosts = settings
        .lines()
        .find_map(|line| line.strip_prefix("hosts:"))
        .expect("nsswitch.conf has a line for hosts");
    for module in ["myhostname", "mymachines", "resolve"] {
        assert!(hosts.contains(module), "{module}: {hosts}");
    }
    Some(root)
}

/// The query has counted the images of its store.
#[track_caller]
fn assert_counted(output: &Output) {
    let table = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{table}{stderr}");
    let images = format!("  {IMAGES} ");
    assert!(table.contains(&images), "{table}{stderr}");
}

#[test]
fn an_unknown_name_of_a_store_is_a_failed_query_and_not_a_crash() {
    let Some(scene) = Scene::set(0) else { return };
    let output = scene.query(UNKNOWN, &[("OTEL_TRACES_EXPORTER", "none")]);
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(table.contains(UNKNOWN), "{table}");
    assert!(table.contains("Name does not resolve"), "{table}");
}

#[test]
fn an_unreachable_name_server_is_a_failed_query_too() {
    let Some(scene) = Scene::set(4) else { return };
    // Nothing listens at this loopback address.
    let unreachable = "nameserver 127.255.255.254\n";
    let output =
        scene.query_with_resolver(unreachable, IN_DNS, &[("OTEL_TRACES_EXPORTER", "none")]);
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(table.contains("Try again"), "{table}");
}

#[test]
fn a_store_is_found_by_its_name_in_etc_hosts_and_in_dns() {
    let Some(scene) = Scene::set(1) else { return };
    for name in [IN_HOSTS, IN_DNS] {
        assert_counted(&scene.query(name, &[("OTEL_TRACES_EXPORTER", "none")]));
    }
}

#[test]
fn a_jaeger_agent_is_found_by_its_name_in_etc_hosts_and_in_dns() {
    let Some(scene) = Scene::set(2) else { return };
    let agent = JaegerAgent::bind();
    let port = agent.port().to_string();
    for name in [IN_HOSTS, IN_DNS, UNKNOWN] {
        assert_counted(&scene.query(
            "127.0.0.1",
            &[
                ("OTEL_EXPORTER_JAEGER_AGENT_HOST", name),
                ("OTEL_EXPORTER_JAEGER_AGENT_PORT", &port),
            ],
        ));
        if name != UNKNOWN {
            agent.next_trace(PATIENCE);
        }
    }
}

#[test]
fn an_otlp_collector_is_found_by_its_name_in_etc_hosts_and_in_dns() {
    let Some(scene) = Scene::set(3) else { return };
    let collector = OtlpCollector::bind();
    let port = collector.address().port();
    for name in [IN_HOSTS, IN_DNS, UNKNOWN] {
        assert_counted(&scene.query(
            "127.0.0.1",
            &[
                ("OTEL_TRACES_EXPORTER", "otlp"),
                (
                    "OTEL_EXPORTER_OTLP_ENDPOINT",
                    &format!("http://{name}:{port}"),
                ),
            ],
        ));
        if name != UNKNOWN {
            assert!(collector.next_call(PATIENCE).is_some(), "{name}");
        }
    }
}
