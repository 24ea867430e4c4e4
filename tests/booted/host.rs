//! A booted machine with the service on it, and what stands around the service.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use lab::exposition::Scrape;
use lab::jaeger_agent::JaegerAgent;
use lab::machine::Machine;
use lab::poll::eventually;
use lab::rkt_api_service::{Images, StandIn};
use lab::service::http;

use crate::package::PACKAGE;

pub(crate) const SERVICE: &str = "exp-rkt-grpc.service";
pub(crate) const SOCKET: &str = "exp-rkt-grpc.socket";

/// The installed program.
pub(crate) const PROGRAM: &str = "/usr/bin/exp-rkt-grpc";

/// Where the installed socket listens.
pub(crate) const METRICS: SocketAddr = localhost(33333);
/// Where the service looks for rkt's api-service and for a Jaeger agent, unless told otherwise.
const RKT: SocketAddr = localhost(15441);
const JAEGER: SocketAddr = localhost(6831);

pub(crate) const fn localhost(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// A machine on which the service is installed: its socket listens, and nobody has connected to it yet.
pub(crate) struct Host {
    pub(crate) machine: Machine,
}

impl Host {
    /// `None` where no machine can be booted.
    #[track_caller]
    pub(crate) fn boot(name: &str) -> Option<Self> {
        let host = Self {
            machine: Machine::boot(name)?,
        };
        // On hosts whose packages are not to start anything, such as containers; a machine is not one.
        host.machine.succeed("rm -f /usr/sbin/policy-rc.d");
        host.install(&PACKAGE);
        Some(host)
    }

    /// Installs a package, or upgrades to it, as an administrator does.
    #[track_caller]
    pub(crate) fn install(&self, package: &Path) {
        let inside = "/var/tmp/exp-rkt-grpc.deb";
        self.machine.write(
            inside,
            fs::read(package).expect("make has made the package"),
        );
        self.machine.succeed(&format!("dpkg --install {inside}"));
    }

    /// Runs `systemctl` with these words; panics unless it succeeds.
    #[track_caller]
    pub(crate) fn systemctl(&self, words: &str) -> String {
        self.machine.succeed(&format!("systemctl {words}"))
    }

    /// A property of the service's unit.
    #[track_caller]
    pub(crate) fn property(&self, property: &str) -> String {
        self.machine.property(SERVICE, property)
    }

    /// Changes settings of a unit as `systemctl edit` does.
    #[track_caller]
    pub(crate) fn edit(&self, unit: &str, settings: &str) {
        let path = format!("/etc/systemd/system/{unit}.d/override.conf");
        self.machine.write(&path, settings);
        self.systemctl("daemon-reload");
    }

    /// rkt's api-service, where the service expects it.
    pub(crate) fn store(&self, images: Images) -> StandIn {
        self.machine
            .network(|| StandIn::tcp_at(RKT, images))
            .expect("the port is free")
    }

    /// A Jaeger agent, where the service expects it.
    pub(crate) fn jaeger_agent(&self) -> JaegerAgent {
        self.machine
            .network(|| JaegerAgent::bind_at(JAEGER))
            .expect("the port is free")
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> http::Response {
        let response = self.machine.network(|| http::get(METRICS, path));
        response.unwrap_or_else(|error| panic!("GET {path}: {error}\n{}", self.log()))
    }

    #[track_caller]
    pub(crate) fn scrape(&self) -> Scrape {
        let response = self.get("/metrics");
        assert_eq!(response.status, 200, "{response:?}");
        Scrape::parse(response.text()).expect("it is the text format")
    }

    /// What a gauge or counter of the store `rkt` says.
    #[track_caller]
    pub(crate) fn of_rkt(&self, name: &str) -> Option<f64> {
        self.scrape().value(name, &[("store", "rkt")])
    }

    /// Asks for a query and waits until it has been made. The service must be running.
    #[track_caller]
    pub(crate) fn query(&self) -> Scrape {
        let queries = |scrape: &Scrape| scrape.sum("imagestore_queries_total").unwrap_or(0.0);
        let before = queries(&self.scrape());
        self.systemctl("kill --signal=SIGQUIT exp-rkt-grpc");
        eventually("the query", || {
            let scrape = self.scrape();
            (queries(&scrape) > before).then_some(scrape)
        })
    }

    /// What the service, and systemd about it, have logged.
    #[track_caller]
    pub(crate) fn log(&self) -> String {
        self.machine.succeed("journalctl --sync");
        self.machine
            .succeed("journalctl --output=short-precise --unit=exp-rkt-grpc.service --unit=exp-rkt-grpc.socket")
    }
}
