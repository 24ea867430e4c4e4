//! A booted machine with the service on it, and what stands around the service.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use lab::cri_runtime;
use lab::exposition::Scrape;
use lab::jaeger_agent::JaegerAgent;
use lab::machine::Machine;
use lab::poll::eventually;
use lab::rkt_api_service::{Images, StandIn};
use lab::service::http;
use lab::{TempDir, tempdir};

use crate::package::PACKAGES;

pub(crate) const SERVICE: &str = "exp-rkt-grpc.service";
pub(crate) const SOCKET: &str = "exp-rkt-grpc.socket";

/// The installed program.
pub(crate) const PROGRAM: &str = "/usr/bin/exp-rkt-grpc";

/// Where the installed socket listens.
pub(crate) const METRICS: SocketAddr = localhost(33333);
/// Where the service looks for rkt's api-service and for a Jaeger agent, unless told otherwise.
const RKT: SocketAddr = localhost(15441);
const JAEGER: SocketAddr = localhost(6831);

/// Where it exists, installations are followed by an update of the index of manual pages.
pub(crate) const MANUAL_INDEX: &str = "/var/lib/man-db/auto-update";

pub(crate) const fn localhost(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Whether each store that is up has said who it is, which it is asked once its images are counted.
pub(crate) fn is_complete(scrape: &Scrape) -> bool {
    let mut up = scrape.samples("imagestore_up");
    up.all(|up| {
        let store = up.labels["store"].as_str();
        let mut known = scrape.samples("imagestore_runtime_info");
        up.value == 0.0 || known.any(|known| known.has(&[("store", store)]))
    })
}

/// A machine on which the service is installed: its socket listens, and nobody has connected to it yet.
pub(crate) struct Host {
    pub(crate) machine: Machine,
    /// What its /usr is made of, if not of the package that is installed there; dropped after the machine.
    _installed: Option<TempDir>,
}

impl Host {
    /// `None` where no machine can be booted.
    #[track_caller]
    pub(crate) fn boot(name: &str) -> Option<Self> {
        Self::boot_and(name, |_| ()).map(|(host, ())| host)
    }

    /// Also looks at the machine as it is without the service.
    #[track_caller]
    pub(crate) fn boot_and<T>(name: &str, look: impl FnOnce(&Machine) -> T) -> Option<(Self, T)> {
        let package = Machine::possible().then(|| &PACKAGES.this)?;
        let host = Self {
            machine: Machine::boot(name)?,
            _installed: None,
        };
        // At each installation man-db would read all manual pages, for as long as all the rest takes.
        host.machine.succeed(&format!("rm -f {MANUAL_INDEX}"));
        let seen = look(&host.machine);
        host.install(package);
        Some((host, seen))
    }

    /// One that was booted after the service had been installed and these units enabled. `None` where no machine can be booted.
    #[track_caller]
    pub(crate) fn boot_enabled(name: &str, units: &[&str]) -> Option<Self> {
        Self::boot_enabled_with(name, units, &[])
    }

    /// As [`Host::boot_enabled`], with settings of units changed as [`Host::edit`] does.
    #[track_caller]
    pub(crate) fn boot_enabled_with(
        name: &str,
        units: &[&str],
        edited: &[(&str, &str)],
    ) -> Option<Self> {
        if !Machine::possible() {
            return None;
        }
        let installed = tempdir().expect("a folder can be made");
        let folder = installed.path().to_str().expect("it has a plain name");
        let succeed = |command: &mut Command| {
            let output = command.output().expect("it is a part of Debian");
            assert!(output.status.success(), "{command:?}: {output:?}");
        };
        succeed(
            Command::new("dpkg-deb")
                .arg("--extract")
                .arg(&PACKAGES.this)
                .arg(folder),
        );
        succeed(
            Command::new("systemctl")
                .args(["--root", folder, "enable"])
                .args(units),
        );
        let etc = installed.path().join("etc/systemd/system");
        for (unit, settings) in edited {
            let folder = etc.join(format!("{unit}.d"));
            let written = fs::create_dir_all(&folder)
                .and_then(|()| fs::write(folder.join("override.conf"), settings));
            written.expect("it is a folder of ours");
        }
        let made = fs::read_dir(&etc).expect("units are enabled");
        let binds = made.map(|made| {
            let name = made.expect("the folder can be read").file_name();
            let path = format!("/etc/systemd/system/{}", name.display());
            format!("--bind-ro={folder}{path}:{path}")
        });
        let usr = format!("--overlay-ro=+/usr:{folder}/usr:/usr");
        let machine = Machine::boot_with(name, binds.chain([usr]))?;
        Some(Self {
            machine,
            _installed: Some(installed),
        })
    }

    /// Installs a package, or upgrades to it, as an administrator does. Returns what it says on standard error.
    #[track_caller]
    pub(crate) fn install(&self, package: &Path) -> String {
        let inside = "/var/tmp/exp-rkt-grpc.deb";
        self.machine.write(
            inside,
            fs::read(package).expect("make has made the package"),
        );
        let installed = self.machine.run(["dpkg", "--install", inside]);
        assert!(installed.status.success(), "{installed:?}");
        self.machine.succeed(&format!("rm {inside}"));
        String::from_utf8_lossy(&installed.stderr).into_owned()
    }

    /// Removes the package; `act` is what dpkg(1) calls it.
    #[track_caller]
    pub(crate) fn remove_package(&self, act: &str) {
        self.machine.succeed(&format!("dpkg {act} exp-rkt-grpc"));
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

    /// Copies these examples beside the service's unit, as their first lines say.
    #[track_caller]
    pub(crate) fn drop_in(&self, examples: &[&str]) {
        for example in examples {
            self.machine.succeed(&format!(
                "install -D -m 644 -t /etc/systemd/system/{SERVICE}.d /usr/share/doc/exp-rkt-grpc/examples/{example}"
            ));
        }
        self.systemctl("daemon-reload");
    }

    /// A runtime that speaks CRI at this path, and whose socket is of root's as those of real ones are.
    pub(crate) fn runtime(&self, path: &str, images: usize) -> cri_runtime::StandIn {
        let socket = self.machine.path(path);
        fs::create_dir_all(socket.parent().expect("it is in a folder")).expect("root may");
        let images = cri_runtime::Images::generated(images);
        let runtime = cri_runtime::StandIn::unix(&socket, images).expect("the path is free");
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o660)).expect("root may");
        runtime
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
            (queries(&scrape) > before && is_complete(&scrape)).then_some(scrape)
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
