//! A booted machine with the package installed, and the stores and agents around the service.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use lab::cri_runtime;
use lab::exposition::{Sample, Scrape};
use lab::jaeger_agent::JaegerAgent;
use lab::machine::Machine;
use lab::poll::eventually;
use lab::rkt_api_service::{Images, StandIn};
use lab::service::http;
use lab::{TempDir, tempdir};

use crate::package::{PACKAGES, released};

pub(crate) const SERVICE: &str = "exp-rkt-grpc.service";
pub(crate) const SOCKET: &str = "exp-rkt-grpc.socket";

/// The installed program.
pub(crate) const PROGRAM: &str = "/usr/bin/exp-rkt-grpc";

/// The folder of the example units and drop-ins.
pub(crate) const EXAMPLES: &str = "/usr/share/doc/exp-rkt-grpc/examples";

/// The address of the installed socket unit.
pub(crate) const METRICS: SocketAddr = localhost(33333);
/// The default addresses of rkt's api-service and of the Jaeger agent.
const RKT: SocketAddr = localhost(15441);
const JAEGER: SocketAddr = localhost(6831);

/// If this file exists, man-db rebuilds its index after each installation.
pub(crate) const MANUAL_INDEX: &str = "/var/lib/man-db/auto-update";

pub(crate) const fn localhost(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Whether the scrape has the runtime info of each store that is up. The service asks for it once the images are counted.
pub(crate) fn is_complete(scrape: &Scrape) -> bool {
    let mut up = scrape.samples("imagestore_up");
    up.all(|up| {
        let store = up.labels["store"].as_str();
        let mut known = scrape.samples("imagestore_runtime_info");
        up.value == 0.0 || known.any(|known| known.has(&[("store", store)]))
    })
}

/// A machine with the package installed: the socket listens, and no client has connected yet.
pub(crate) struct Host {
    pub(crate) machine: Machine,
    /// The files that are overlaid on /usr, if the package is not installed with dpkg; dropped after the machine.
    _installed: Option<TempDir>,
}

impl Host {
    /// Boots a machine and installs the package. `None` if no machine can be booted.
    #[track_caller]
    pub(crate) fn boot(name: &str) -> Option<Self> {
        Self::boot_and(name, |_| ()).map(|(host, ())| host)
    }

    /// As [`Host::boot`], but calls `look` before the installation.
    #[track_caller]
    pub(crate) fn boot_and<T>(name: &str, look: impl FnOnce(&Machine) -> T) -> Option<(Self, T)> {
        let package = Machine::possible().then(|| &PACKAGES.this)?;
        Self::boot_and_install(name, package, look)
    }

    /// A machine with version 0.1.0 of the service. `None` also where the sources of that version are not available.
    #[track_caller]
    pub(crate) fn boot_0_1_0(name: &str) -> Option<Self> {
        let package = Machine::possible().then(released)??;
        LazyLock::force(&PACKAGES);
        Self::boot_and_install(name, package, |_| ()).map(|(host, ())| host)
    }

    #[track_caller]
    fn boot_and_install<T>(
        name: &str,
        package: &Path,
        look: impl FnOnce(&Machine) -> T,
    ) -> Option<(Self, T)> {
        let host = Self {
            machine: Machine::boot(name)?,
            _installed: None,
        };
        // man-db would index all manual pages, which takes as long as the rest of the installation.
        host.machine.succeed(&format!("rm -f {MANUAL_INDEX}"));
        let seen = look(&host.machine);
        host.install(package);
        Some((host, seen))
    }

    /// Boots a machine that already has the package installed and these units enabled. `None` if no machine can be booted.
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
        let folder = installed.path().to_str().expect("the path is UTF-8");
        let succeed = |command: &mut Command| {
            let output = command.output().expect("the command can be run");
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
            written.expect("the folder is writable");
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

    /// Installs a package or upgrades to it with dpkg(1). Returns its standard error.
    #[track_caller]
    pub(crate) fn install(&self, package: &Path) -> String {
        let inside = "/var/tmp/exp-rkt-grpc.deb";
        self.machine
            .write(inside, fs::read(package).expect("the package is built"));
        let installed = self.machine.run(["dpkg", "--install", inside]);
        assert!(installed.status.success(), "{installed:?}");
        self.machine.succeed(&format!("rm {inside}"));
        String::from_utf8_lossy(&installed.stderr).into_owned()
    }

    /// Removes the package with dpkg(1); `act` is `--remove` or `--purge`.
    #[track_caller]
    pub(crate) fn remove_package(&self, act: &str) {
        self.machine.succeed(&format!("dpkg {act} exp-rkt-grpc"));
    }

    /// Runs `systemctl` with these arguments; panics unless it succeeds.
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

    /// Installs these example drop-ins for the service's unit, as their first lines describe.
    #[track_caller]
    pub(crate) fn drop_in(&self, examples: &[&str]) {
        for example in examples {
            self.machine.succeed(&format!(
                "install -D -m 644 -t /etc/systemd/system/{SERVICE}.d {EXAMPLES}/{example}"
            ));
        }
        self.systemctl("daemon-reload");
    }

    /// A CRI runtime at this path. Its socket belongs to root and has mode 0660, as those of real runtimes do.
    pub(crate) fn runtime(&self, path: &str, images: usize) -> cri_runtime::StandIn {
        let socket = self.machine.path(path);
        fs::create_dir_all(socket.parent().expect("the path has a parent")).expect("root may");
        let images = cri_runtime::Images::generated(images);
        let runtime = cri_runtime::StandIn::unix(&socket, images).expect("the path is free");
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o660)).expect("root may");
        runtime
    }

    /// rkt's api-service, at its default address.
    pub(crate) fn store(&self, images: Images) -> StandIn {
        self.machine
            .network(|| StandIn::tcp_at(RKT, images))
            .expect("the port is free")
    }

    /// A Jaeger agent, at its default address.
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
        Scrape::parse(response.text()).expect("the response is in the text format")
    }

    /// The value of a metric of the store `rkt`.
    #[track_caller]
    pub(crate) fn of_rkt(&self, name: &str) -> Option<f64> {
        self.scrape().value(name, &[("store", "rkt")])
    }

    /// Triggers a query and waits until it has ended for every store. The service must be running.
    #[track_caller]
    pub(crate) fn query(&self) -> Scrape {
        const QUERIES: &str = "imagestore_queries_total";
        let before = self.scrape();
        self.systemctl("kill --signal=SIGQUIT exp-rkt-grpc");
        eventually("the query", || {
            let scrape = self.scrape();
            // A number is more than `None`. Version 0.1.0 has no imagestore_info.
            let queried = |info: &Sample| {
                let store = [("store", info.labels["store"].as_str())];
                scrape.value(QUERIES, &store) > before.value(QUERIES, &store)
            };
            let ended = scrape.samples("imagestore_info").all(queried)
                && scrape.sum(QUERIES) > before.sum(QUERIES)
                && is_complete(&scrape);
            ended.then_some(scrape)
        })
    }

    /// The journal of the service and its socket, including systemd's lines about them.
    #[track_caller]
    pub(crate) fn log(&self) -> String {
        self.machine.succeed("journalctl --sync");
        self.machine
            .succeed("journalctl --output=short-precise --unit=exp-rkt-grpc.service --unit=exp-rkt-grpc.socket")
    }
}
