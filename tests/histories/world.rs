//! The stores that exist, whether they are configured or not: CRI runtimes, a rkt, and an address at which nothing listens.

use std::time::Duration;

use exp_rkt_grpc::config;
use exp_rkt_grpc::images::ImageStore;
use exp_rkt_grpc::metrics::Metrics;
use exp_rkt_grpc::observe::Observer;
use lab::cri_runtime::{self as cri, v1::FilesystemUsage};
use lab::rkt_api_service as rkt;
use lab::{TempDir, tempdir};
use tonic::{Code, Status};

use super::{Configured, End, scrape, until};

/// The number of CRI runtimes; their addresses come first.
const RUNTIMES: usize = 3;

/// The address of rkt, after the runtimes.
pub(super) const RKT: usize = RUNTIMES;

/// An address at which nothing listens.
pub(super) const NOBODY: usize = RUNTIMES + 1;

/// The number of addresses that can be configured.
pub(super) const ADDRESSES: usize = RUNTIMES + 2;

/// Longer than any test.
const DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// Mountpoint, used bytes and used inodes.
pub(super) type Filesystem = (&'static str, Option<u64>, Option<u64>);

/// The content and the behaviour of the store at one address during a query.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The number of images.
    pub(super) images: usize,
    /// Different seeds give different images.
    pub(super) seed: usize,
    pub(super) list: List,
    pub(super) version: Side<Runtime>,
    pub(super) filesystems: Side<Vec<Filesystem>>,
    /// Each of this many images has a container, from the first one on. Asked for together with the list.
    pub(super) containers: Side<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum List {
    Answers,
    /// With this gRPC code.
    Fails(Code),
    Hangs,
}

/// A side call.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Side<T> {
    Answers(T),
    /// With this gRPC code.
    Fails(Code),
    Hangs,
}

/// The name and the version that a runtime reports.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Runtime {
    pub(super) runtime: String,
    pub(super) version: String,
}

impl Plan {
    /// Adapts the plan so that the outcome of a query with this end is certain: nothing hangs unless the query is given up, and
    /// side calls do not race with giving it up.
    pub(super) fn ending(mut self, end: End) -> Self {
        if end == End::Complete {
            if self.list == List::Hangs {
                self.list = List::Answers;
            }
            self.version = self.version.without_hanging();
            self.filesystems = self.filesystems.without_hanging();
            self.containers = self.containers.without_hanging();
        } else {
            let hang = self.version == Side::Hangs || self.filesystems == Side::Hangs;
            self.version = Side::without_answer(hang);
            self.filesystems = Side::without_answer(hang);
            // That is one call, so it is known when the others have arrived.
            self.containers = Side::Answers(0);
        }
        self
    }

    /// Whether a call to the store at this address hangs until the query is given up.
    pub(super) fn hangs(&self, address: usize) -> bool {
        address != NOBODY
            && match self.list {
                List::Answers => self.version == Side::Hangs,
                List::Fails(_) => false,
                List::Hangs => true,
            }
    }

    /// The number of calls that the store at this address receives.
    fn calls(&self, address: usize) -> usize {
        match (self.list, address) {
            (_, NOBODY) => 0,
            (List::Answers, RKT) => 2,
            (List::Answers, _) => 4,
            (List::Fails(_) | List::Hangs, _) => 1,
        }
    }

    pub(super) fn cri_images(&self) -> cri::Images {
        let (images, seed) = (self.images, self.seed);
        cri::Images::made(images, move |ordinal| {
            let number = seed + ordinal;
            let host = host(number);
            let named = match is_tagged(number) {
                true => cri::Image::tagged(format!("{host}/image:{number}")),
                false => cri::Image::with_digest(format!("{host}/image@sha256:{number:064x}")),
            };
            cri::Image {
                id: image_id(number),
                size: 1_000 + number as u64,
                pinned: number.is_multiple_of(2),
                ..named
            }
        })
    }

    pub(super) fn rkt_images(&self) -> rkt::Images {
        rkt::Images::Generated {
            count: self.images,
            seed: self.seed as u64,
        }
    }

    /// The sizes of the unused images, for CRI runtimes; `None` if the containers are not known.
    pub(super) fn unused(&self) -> Option<Vec<u64>> {
        let Side::Answers(used) = self.containers else {
            return None;
        };
        let unused = self.seed + used..self.seed + self.images;
        let unpinned = unused.filter(|number| !number.is_multiple_of(2));
        Some(unpinned.map(|number| 1_000 + number as u64).collect())
    }

    /// The number of images of each registry, for CRI runtimes.
    pub(super) fn registries(&self) -> Vec<(String, u64)> {
        let hosts = (0..4).map(|number| {
            let numbers = self.seed..self.seed + self.images;
            let count = numbers.filter(|&image| host(image) == host(number)).count();
            (host(number), count as u64)
        });
        hosts.filter(|&(_, count)| count > 0).collect()
    }
}

fn host(number: usize) -> String {
    format!("r{}.example", number % 4)
}

fn image_id(number: usize) -> String {
    format!("sha256:{number:064x}")
}

fn is_tagged(number: usize) -> bool {
    !number.is_multiple_of(3)
}

impl<T> Side<T> {
    fn without_hanging(self) -> Self {
        match self {
            Self::Hangs => Self::Fails(Code::Unknown),
            other => other,
        }
    }

    fn without_answer(hang: bool) -> Self {
        if hang {
            Self::Hangs
        } else {
            Self::Fails(Code::Unknown)
        }
    }
}

/// The running stores.
pub(super) struct World {
    runtimes: Vec<cri::StandIn>,
    rkt: rkt::StandIn,
    folder: TempDir,
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempdir().expect("a temporary folder can be made");
        let runtimes = (0..RUNTIMES).map(|number| {
            let path = folder.path().join(number.to_string());
            let runtime = cri::StandIn::unix(&path, cri::Images::generated(0));
            runtime.expect("a socket can be bound there")
        });
        Self {
            runtimes: runtimes.collect(),
            rkt: rkt::StandIn::tcp(rkt::Images::generated(0)),
            folder,
        }
    }

    /// Kind and address, as the program shows them.
    pub(super) fn url(&self, address: usize) -> String {
        match address {
            RKT => self.rkt.url(),
            _ => format!("cri+unix://{}", self.path(address)),
        }
    }

    fn path(&self, address: usize) -> String {
        self.folder
            .path()
            .join(address.to_string())
            .display()
            .to_string()
    }

    /// A new process.
    pub(super) fn process(&self, configured: &[Configured]) -> (Metrics, Observer) {
        let metrics = Metrics::new("0", "").expect("the metric names are valid");
        let stores = configured.iter().map(|store| {
            let url = match store.address {
                RKT => self.rkt.url(),
                address => format!("cri+unix://{}", self.path(address)),
            };
            let config = config::store(&format!("{}={url}", store.name));
            ImageStore::new(&config.expect("the URL is valid"))
        });
        let observer = Observer::new(stores.collect(), metrics.clone(), DEADLINE);
        (metrics, observer)
    }

    /// Makes the stores follow these plans from the next call on.
    pub(super) fn follow(&self, plans: &[Plan]) {
        use cri::{Behaviour, Method};
        for (runtime, plan) in self.runtimes.iter().zip(plans) {
            runtime.behave(Behaviour::Answer);
            runtime.serve_images(plan.cri_images());
            runtime.behave_for(Method::StreamImages, list(plan.list));
            runtime.behave_for(Method::Version, side(&plan.version));
            runtime.behave_for(Method::ImageFsInfo, side(&plan.filesystems));
            for method in [Method::StreamContainers, Method::ListContainers] {
                runtime.behave_for(method, side(&plan.containers));
            }
            if let Side::Answers(count) = plan.containers {
                let ids = (plan.seed..plan.seed + count).map(image_id);
                runtime.serve_containers(ids.map(cri::container));
            }
            if let Side::Answers(reported) = &plan.version {
                runtime.serve_version(&reported.runtime, &reported.version);
            }
            if let Side::Answers(filesystems) = &plan.filesystems {
                runtime.serve_filesystems(filesystems.iter().map(filesystem).collect());
            }
        }
        let plan = &plans[RKT];
        self.rkt.behave(Behaviour::Answer);
        self.rkt.serve_images(plan.rkt_images());
        self.rkt
            .behave_for(rkt::Method::ListImages, list(plan.list));
        self.rkt
            .behave_for(rkt::Method::GetInfo, side(&plan.version));
        if let Side::Answers(reported) = &plan.version {
            self.rkt.serve_info(rkt::v1alpha::Info {
                rkt_version: reported.version.clone(),
                api_version: reported.runtime.clone(),
                ..rkt::v1alpha::Info::default()
            });
        }
    }

    fn calls(&self, address: usize) -> usize {
        match address {
            RKT => self.rkt.calls().len(),
            runtime => self.runtimes[runtime].calls().len(),
        }
    }

    /// Waits until a query can make no further progress: calls that hang have arrived, and the results of the others are in the
    /// metrics. Never ends if no call hangs.
    pub(super) fn reached<'a>(
        &'a self,
        configured: &'a [Configured],
        plans: &'a [Plan],
        metrics: &'a Metrics,
    ) -> impl Future<Output = ()> + use<'a> {
        let plan = |store: &Configured| &plans[store.address];
        let hangs = configured
            .iter()
            .any(|store| plan(store).hangs(store.address));
        let calls: Vec<usize> = (0..NOBODY)
            .map(|address| {
                let askers = configured.iter().filter(|store| store.address == address);
                self.calls(address) + askers.count() * plans[address].calls(address)
            })
            .collect();
        let queries = |store: &Configured| {
            scrape(metrics).value("imagestore_queries_total", &[("store", store.name)])
        };
        let before: Vec<Option<f64>> = configured.iter().map(queries).collect();
        async move {
            if !hangs {
                std::future::pending::<()>().await;
            }
            until(|| (0..NOBODY).all(|address| self.calls(address) >= calls[address])).await;
            for (store, before) in configured.iter().zip(before) {
                // The list of a store that receives its side calls has been counted already.
                if !plan(store).hangs(store.address) {
                    until(|| queries(store) > before).await;
                }
            }
        }
    }
}

fn fail(code: Code) -> cri::Behaviour {
    cri::Behaviour::Fail(Status::new(code, "a planned failure"))
}

fn list(list: List) -> cri::Behaviour {
    match list {
        List::Answers => cri::Behaviour::Answer,
        List::Fails(code) => fail(code),
        List::Hangs => cri::Behaviour::Hang,
    }
}

fn side<T>(side: &Side<T>) -> cri::Behaviour {
    match side {
        Side::Answers(_) => cri::Behaviour::Answer,
        Side::Fails(code) => fail(*code),
        Side::Hangs => cri::Behaviour::Hang,
    }
}

fn filesystem((mountpoint, used_bytes, inodes_used): &Filesystem) -> FilesystemUsage {
    let usage = cri::filesystem(
        mountpoint,
        used_bytes.unwrap_or(0),
        inodes_used.unwrap_or(0),
    );
    FilesystemUsage {
        used_bytes: used_bytes.and(usage.used_bytes),
        inodes_used: inodes_used.and(usage.inodes_used),
        ..usage
    }
}
