//! The processor time that a real containerd spends on a query, by client.

use std::{
    process::{self, Command},
    time::Duration,
};

use lab::{
    containerd::{Containerd, Layer, OciImage, PAUSE_IMAGE, Release},
    peers::Peer,
    service::Service,
};
use rustix::process::geteuid;

use crate::{
    peers::{Peers, runs},
    report::{Report, median, milliseconds, ratio},
    usage::Usage,
};

/// The argument that runs this part only.
pub(crate) const PART: &str = "store";

const IMAGES: usize = 1_000;

/// The number of containers, each of an image and in a pod of its own.
const CONTAINERS: [usize; 2] = [0, 30];

const ROUNDS: usize = 5;

/// Queries of a client in a round: so many that a tick of the processor time does not matter.
const QUERIES: u32 = 20;

/// The same for a client whose query costs seconds.
const SLOW_QUERIES: u32 = 1;

/// The namespace that CRI sees.
const NAMESPACE: &str = "k8s.io";

/// The client that the others are compared with.
const BASE: &str = "ctr images ls -q";

/// The names of the images begin with it.
const REPOSITORY: &str = "example.org/image-";

/// A client, and the processor time of its queries in each round.
struct Costs {
    name: &'static str,
    queries: u32,
    client: Client,
    in_containerd: Vec<Duration>,
    in_client: Vec<Duration>,
}

enum Client {
    /// Triggered by SIGQUIT.
    Service(Service),
    /// A process for each query.
    Command(Command),
}

impl Client {
    /// Makes a query; panics if it does not list all images.
    fn query(&mut self) {
        match self {
            Self::Service(service) => {
                let status = service.query();
                assert!(status.contains(&format!(": {IMAGES} images")), "{status}");
            }
            Self::Command(command) => {
                let output = command.output().expect("it is installed");
                let output = String::from_utf8_lossy(&output.stdout);
                let names = output.lines().filter(|line| line.starts_with(REPOSITORY));
                // All but the sandboxes' image.
                assert_eq!(names.count(), IMAGES - 1, "{command:?}");
            }
        }
    }

    fn cpu(&self) -> Duration {
        match self {
            Self::Service(service) => Usage(service.pid()).cpu(),
            Self::Command(_) => Usage(process::id()).cpu_of_children(),
        }
    }
}

impl Costs {
    fn of(name: &'static str, queries: u32, client: Client) -> Self {
        Self {
            name,
            queries,
            client,
            in_containerd: Vec::new(),
            in_client: Vec::new(),
        }
    }

    fn add(&mut self, containerd: Usage) {
        let before = (containerd.cpu(), self.client.cpu());
        for _ in 0..self.queries {
            self.client.query();
        }
        let after = (containerd.cpu(), self.client.cpu());
        self.in_containerd.push((after.0 - before.0) / self.queries);
        self.in_client.push((after.1 - before.1) / self.queries);
    }
}

pub(crate) fn measure(peers: &Peers, report: &mut Report) {
    if !geteuid().is_root() || !runs(Command::new("containerd").arg("--version")) {
        report.skipped("containerd", "this needs root and Debian's containerd");
        return;
    }
    let mut releases = vec![("Debian's", Release::Debian)];
    match Peer::Containerd.folder() {
        Ok(folder) => releases.push(("2.4", Release::V2_4(folder))),
        Err(why) => report.skipped("containerd 2.4", &why.to_string()),
    }
    if let Err(why) = Peer::Crictl.folder() {
        report.skipped("crictl", &why.to_string());
    }
    let rows: Vec<_> = releases
        .into_iter()
        .flat_map(|(name, release)| measure_release(peers, name, release))
        .collect();
    let head = [
        "containerd",
        "containers",
        "client",
        "containerd's CPU, ms",
        "relative",
        "client's CPU, ms",
    ];
    report.table("What a query costs the store", &head, &rows);
}

fn measure_release(peers: &Peers, name: &str, release: Release) -> Vec<Vec<String>> {
    let containerd = Containerd::start_of(release);
    let images = (1..IMAGES).map(|ordinal| OciImage::named(image(ordinal)));
    let pause = OciImage::named(PAUSE_IMAGE).with(&Layer::of_pause());
    containerd.import(&images.chain([pause]).collect::<Vec<_>>());
    let mut rows = Vec::new();
    for containers in CONTAINERS {
        for ordinal in containerd.containers().len()..containers {
            containerd.create_container(&image(ordinal + 1));
        }
        rows.extend(measure_clients(
            peers,
            &containerd,
            [name, &containers.to_string()],
        ));
    }
    rows
}

fn image(ordinal: usize) -> String {
    format!("{REPOSITORY}{ordinal}:1")
}

fn measure_clients(peers: &Peers, containerd: &Containerd, scene: [&str; 2]) -> Vec<Vec<String>> {
    let mut costs = clients(peers, containerd);
    for costs in &mut costs {
        // Warm up: the first query is not measured.
        costs.client.query();
    }
    for _ in 0..ROUNDS {
        for costs in &mut costs {
            costs.add(Usage(containerd.pid()));
        }
    }
    let base = costs.iter().find(|costs| costs.name == BASE);
    let base = median(&base.expect("it ran").in_containerd);
    let row = |costs: &Costs| {
        let in_containerd = median(&costs.in_containerd);
        vec![
            scene[0].to_owned(),
            scene[1].to_owned(),
            costs.name.to_owned(),
            milliseconds(in_containerd),
            format!("{:.2} ×", ratio(in_containerd, base)),
            milliseconds(median(&costs.in_client)),
        ]
    };
    costs.iter().map(row).collect()
}

/// One line for each row of the table.
fn clients(peers: &Peers, containerd: &Containerd) -> Vec<Costs> {
    let service = |store: String| Client::Service(peers.service(&store));
    let ctr = |arguments: &[&str]| {
        let mut command = containerd.ctr_command(NAMESPACE);
        command.args(arguments);
        Client::Command(command)
    };
    let native = format!(
        "containerd+unix://{}?namespace={NAMESPACE}",
        containerd.socket().display()
    );
    let mut clients = vec![
        Costs::of("exp-rkt-grpc, kind cri", QUERIES, service(containerd.url())),
        Costs::of("exp-rkt-grpc, kind containerd", QUERIES, service(native)),
        Costs::of(BASE, QUERIES, ctr(&["images", "ls", "-q"])),
        Costs::of("ctr images ls", SLOW_QUERIES, ctr(&["images", "ls"])),
    ];
    if let Ok(folder) = Peer::Crictl.folder() {
        let mut command = containerd.crictl_command(folder);
        command.arg("images");
        clients.push(Costs::of(
            "crictl images",
            QUERIES,
            Client::Command(command),
        ));
    }
    clients
}
