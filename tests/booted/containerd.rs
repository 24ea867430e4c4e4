//! Debian's containerd under its own unit, and the service with the shipped drop-ins.

use lab::containerd::{OciImage, layout};
use lab::cri_runtime::client;
use lab::exposition::Scrape;
use lab::mistakes;
use lab::otlp_collector::{OtlpCollector, spans};
use lab::poll::eventually;
use lab::service::PATIENCE;

use crate::host::{Host, PROGRAM, SERVICE};

const RUNTIME_SOCKET: &str = "/run/containerd/containerd.sock";
const LIST_IMAGES: &str = "runtime.v1.ImageService/ListImages";

/// A machine that runs containerd.
pub(crate) struct Scene {
    pub(crate) host: Host,
}

impl Scene {
    #[track_caller]
    pub(crate) fn boot(name: &str) -> Option<Self> {
        let scene = Self {
            host: Host::boot(name)?,
        };
        scene.start_containerd();
        Some(scene)
    }

    #[track_caller]
    fn start_containerd(&self) {
        self.host.systemctl("start containerd");
        self.wait_until_ready();
    }

    /// Installs these example drop-ins and restarts the service.
    #[track_caller]
    fn drop_in(&self, examples: &[&str]) {
        self.host.drop_in(examples);
        self.host.systemctl("restart exp-rkt-grpc");
    }

    /// The number of images that a plain CRI client lists; `None` if containerd does not answer.
    fn listed(&self) -> Option<usize> {
        let images = client::list_images(&self.host.machine.path(RUNTIME_SOCKET));
        images.ok().map(|images| images.len())
    }

    #[track_caller]
    fn wait_until_ready(&self) {
        eventually("containerd to answer CRI", || self.listed());
    }

    #[track_caller]
    fn wait_for_images(&self, count: usize) {
        eventually(&format!("{count} images"), || {
            (self.listed() == Some(count)).then_some(())
        });
    }

    #[track_caller]
    fn ctr(&self, arguments: &str) -> String {
        let command = format!("ctr --namespace k8s.io {arguments}");
        self.host.machine.succeed(&command)
    }

    /// Imports images of these names, and waits until there are `count`.
    #[track_caller]
    pub(crate) fn import(&self, names: &[&str], count: usize) {
        let images: Vec<OciImage> = names.iter().copied().map(OciImage::named).collect();
        self.host.machine.write("/run/images.tar", layout(&images));
        self.ctr("images import --no-unpack /run/images.tar");
        self.wait_for_images(count);
    }

    /// Removes an image with all of its names, and waits until `count` are left.
    #[track_caller]
    fn remove(&self, name: &str, count: usize) {
        // REF TYPE DIGEST SIZE PLATFORMS LABELS
        let table = self.ctr("images ls");
        let rows = table.lines().map(|row| row.split_whitespace().collect());
        let rows: Vec<Vec<&str>> = rows.collect();
        let digest = rows
            .iter()
            .find(|row| row[0] == name)
            .expect("the image is listed")[2];
        let names = rows.iter().filter(|row| row[2] == digest).map(|row| row[0]);
        self.ctr(&format!(
            "images rm {}",
            names.collect::<Vec<_>>().join(" ")
        ));
        self.wait_for_images(count);
    }

    /// Runs a query and returns `imagestore_up` and `imagestore_images` of the next scrape.
    #[track_caller]
    fn query(&self) -> (Option<f64>, Option<f64>) {
        let scrape = self.host.query();
        (of_cri(&scrape, "up"), of_cri(&scrape, "images"))
    }

    #[track_caller]
    fn assert_counts(&self, count: usize) {
        let counted = (Some(1.0), Some(count as f64));
        assert_eq!(self.query(), counted, "{}", self.host.log());
    }

    /// A query fails with this code and these words, and the journal refers to cri.conf.
    #[track_caller]
    fn assert_fails(&self, code: &str, words: &str) {
        assert_eq!(self.query().0, Some(0.0));
        let scrape = self.host.scrape();
        let failures = scrape.value(
            "imagestore_query_failures_total",
            &[("code", code), ("store", "cri")],
        );
        assert_eq!(failures, Some(1.0), "{}", self.host.log());
        let explained = eventually("the journal entry", || {
            self.host.machine.succeed("journalctl --sync");
            let errors = "journalctl --catalog --unit=exp-rkt-grpc --priority=err";
            let explained = self.host.machine.succeed(errors);
            explained.contains(words).then_some(explained)
        });
        assert!(explained.contains("See cri.conf"), "{explained}");
    }

    /// The sandbox shows the service the size of the file system that containerd keeps its images on.
    #[track_caller]
    fn assert_size_of_file_system(&self) {
        let stat = "stat --file-system --format=%b:%S /var/lib/containerd";
        let output = self.host.machine.succeed(stat);
        let factors = output.trim().split(':').map(str::parse::<f64>);
        let size = factors.product::<Result<f64, _>>();
        eventually("the size of the file system", || {
            let scrape = self.host.scrape();
            let mut sizes = scrape.samples("imagestore_filesystem_size_bytes");
            let shown = sizes.next()?;
            let mountpoint = &shown.labels["mountpoint"];
            assert!(mountpoint.starts_with("/var/lib/containerd/"), "{shown:?}");
            (Ok(shown.value) == size).then_some(())
        });
    }

    fn mode_of_socket(&self) -> String {
        let stat = format!("stat --format=%U:%G:%a {RUNTIME_SOCKET}");
        self.host.machine.succeed(&stat)
    }
}

fn of_cri(scrape: &Scrape, name: &str) -> Option<f64> {
    scrape.value(&format!("imagestore_{name}"), &[("store", "cri")])
}

#[test]
fn with_cri_conf_added_and_removed_images_are_counted_through_a_socket_of_mode_660() {
    let Some(scene) = Scene::boot("come-and-go") else {
        return;
    };
    assert_eq!(scene.mode_of_socket(), "root:root:660");
    scene.drop_in(&["cri.conf"]);
    scene.assert_counts(0);
    scene.import(
        &["example.org/a:1", "example.org/b:1", "example.org/c:1"],
        3,
    );
    scene.assert_counts(3);
    scene.assert_size_of_file_system();
    scene.import(&["example.com/d:1", "example.com/e:1"], 5);
    scene.assert_counts(5);
    scene.remove("example.org/b:1", 4);
    scene.assert_counts(4);
}

#[test]
fn after_containerd_restarts_it_is_queried_through_its_new_socket() {
    let Some(scene) = Scene::boot("away") else {
        return;
    };
    scene.import(&["example.org/a:1", "example.org/b:1"], 2);
    scene.drop_in(&["cri.conf"]);
    scene.assert_counts(2);
    let process = scene.host.property("MainPID");

    scene.host.systemctl("restart containerd");
    scene.wait_until_ready();
    scene.assert_counts(2);
    scene.host.systemctl("stop containerd");
    assert_eq!(scene.query(), (Some(0.0), Some(2.0)));
    scene.start_containerd();
    scene.import(&["example.org/c:1"], 3);
    scene.assert_counts(3);
    assert_eq!(scene.host.property("MainPID"), process);
}

#[test]
fn a_containerd_that_starts_after_the_service_or_recreates_its_directory_is_queried() {
    let scene = Scene {
        host: match Host::boot("later") {
            Some(host) => host,
            None => return,
        },
    };
    let directory = "/run/containerd";
    scene
        .host
        .machine
        .succeed(&format!("test ! -e {directory}"));
    scene.drop_in(&["cri.conf"]);
    assert_eq!(scene.query(), (Some(0.0), None));
    let process = scene.host.property("MainPID");

    scene.start_containerd();
    scene.assert_counts(0);
    scene.host.systemctl("stop containerd");
    scene.host.machine.succeed(&format!("rm -r {directory}"));
    scene.start_containerd();
    scene.import(&["example.org/a:1"], 1);
    scene.assert_counts(1);
    assert_eq!(scene.host.property("MainPID"), process);
}

#[test]
fn the_socket_path_under_var_run_works_for_the_service_as_it_does_for_query() {
    let Some(scene) = Scene::boot("old-path") else {
        return;
    };
    let store = format!("cri+unix:///var{RUNTIME_SOCKET}");
    let query = format!("{PROGRAM} query --store {store}");
    scene.host.machine.succeed(&query);
    scene.host.machine.write(
        "/etc/default/exp-rkt-grpc",
        format!("EXP_RKT_GRPC_STORE={store}\n"),
    );
    scene.drop_in(&["cri.conf"]);
    scene.assert_counts(0);
}

#[test]
fn under_cri_conf_traces_arrive_through_either_exporter() {
    let Some(scene) = Scene::boot("traces") else {
        return;
    };
    let agent = scene.host.jaeger_agent();
    scene.import(&["example.org/a:1"], 1);
    scene.drop_in(&["cri.conf"]);
    scene.assert_counts(1);
    let trace = agent.next_trace(PATIENCE);
    trace.span(LIST_IMAGES);
    eventually("the trace's line in the journal", || {
        let of_trace = format!("TRACE_ID={}", trace.id_hex());
        (scene.host.machine.journal([of_trace]).len() == 1).then_some(())
    });

    let collector = scene.host.machine.network(OtlpCollector::bind);
    scene.host.machine.write(
        "/etc/default/exp-rkt-grpc",
        format!("OTEL_EXPORTER_OTLP_ENDPOINT={}\n", collector.endpoint()),
    );
    scene.host.systemctl("restart exp-rkt-grpc");
    scene.assert_counts(1);
    let request = collector.next_request(PATIENCE).expect("a trace arrives");
    let spans = spans(request);
    assert!(
        spans.iter().any(|span| span.name == LIST_IMAGES),
        "{spans:?}"
    );
}

/// root.conf runs the service as root without capabilities: access comes from owning the socket.
#[test]
fn a_socket_that_only_root_may_use_requires_root_conf_besides_cri_conf() {
    let Some(scene) = Scene::boot("only-root") else {
        return;
    };
    scene.import(&["example.org/a:1", "example.org/b:1"], 2);
    scene
        .host
        .machine
        .succeed(&format!("chmod 600 {RUNTIME_SOCKET}"));
    scene.drop_in(&["cri.conf"]);
    scene.assert_fails("PERMISSION_DENIED", "no permission to connect");
    scene.drop_in(&["cri.conf", "root.conf"]);
    scene.assert_counts(2);

    let process = scene.host.property("MainPID");
    let status = scene
        .host
        .machine
        .succeed(&format!("cat /proc/{process}/status"));
    let field = |name: &str| {
        let lines = status.lines().map(|line| line.split_once(":\t"));
        let mut values = lines.flatten().filter(|(field, _)| *field == name);
        values.next().map(|(_, value)| value)
    };
    assert_eq!(field("Uid"), Some("0\t0\t0\t0"));
    assert_eq!(field("CapEff"), Some("0000000000000000"));
    assert_eq!(field("CapBnd"), Some("0000000000000000"));
}

#[test]
fn without_cri_conf_the_socket_does_not_exist_for_the_service_and_the_journal_names_the_remedy() {
    let Some(scene) = Scene::boot("no-drop-in") else {
        return;
    };
    scene.host.machine.write(
        "/etc/default/exp-rkt-grpc",
        format!("EXP_RKT_GRPC_STORE=cri+unix://{RUNTIME_SOCKET}\n"),
    );
    scene.host.systemctl("restart exp-rkt-grpc");
    scene.assert_fails("UNAVAILABLE", "No such file or directory");
    let mistake = mistakes::named("forgotten drop-in");
    mistake.assert_reported_in(&scene.host.log());
    // The status is not truncated.
    mistake.assert_reported_in(&scene.host.property("StatusText"));
}

#[test]
fn the_error_of_a_service_in_the_wrong_group_names_the_right_one() {
    let Some(scene) = Scene::boot("wrong-group") else {
        return;
    };
    scene.host.edit(
        SERVICE,
        "[Service]\nSupplementaryGroups=\nSupplementaryGroups=games\n",
    );
    scene.drop_in(&["cri.conf"]);
    scene.assert_fails("PERMISSION_DENIED", "no permission to connect");
    mistakes::named("wrong group").assert_reported_in(&scene.host.log());

    // A group without a mapping in the sandbox's user namespace.
    scene
        .host
        .machine
        .succeed(&format!("chgrp www-data {RUNTIME_SOCKET}"));
    scene.query();
    let status = scene.host.property("StatusText");
    assert!(
        status.contains("to the group that stat(1) shows on the host"),
        "{status}"
    );
    scene.host.edit(
        SERVICE,
        "[Service]\nSupplementaryGroups=\nSupplementaryGroups=www-data\n",
    );
    scene.host.systemctl("restart exp-rkt-grpc");
    scene.assert_counts(0);
}

#[test]
fn the_error_for_a_store_over_tcp_without_a_network_names_the_drop_in_that_blocks_it() {
    let Some(scene) = Scene::boot("tcp-no-network") else {
        return;
    };
    scene.host.machine.write(
        "/etc/default/exp-rkt-grpc",
        "EXP_RKT_GRPC_STORE=cri=rkt+http://127.0.0.1:15441\n",
    );
    scene.drop_in(&["cri.conf", "no-network.conf"]);
    scene.assert_fails("PERMISSION_DENIED", "Address family not supported");
    let mistake = mistakes::named("TCP store without a network");
    mistake.assert_reported_in(&scene.host.log());
    mistake.assert_reported_in(&scene.host.property("StatusText"));
}
