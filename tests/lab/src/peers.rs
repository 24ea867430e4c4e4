//! The peers that `tests/peers/build` gets: programs and versions that Debian does not have.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::skip;
use crate::supply::{Obstacle, path_from};

const BUILD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../peers/build");

/// A peer below `tests/peers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// `jaeger`: Jaeger v2.
    Jaeger,
    /// `containerd` and `ctr`, of the first minor version with `StreamImages`.
    Containerd,
    /// `crictl`: the command-line client of CRI.
    Crictl,
    /// `prometheus` and `promtool` 3.x, without web pages and with few service discoveries.
    Prometheus,
    /// `prometheus_client`, a module of Python: the reference parser of OpenMetrics.
    PrometheusClient,
    /// `node_modules` with axe-core and html-validate, and the program `node` that runs them.
    PageChecks,
    /// The schemas of CycloneDX, and a validator: modules of Python.
    SbomSchema,
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Self::Jaeger => "jaeger",
            Self::Containerd => "containerd",
            Self::Crictl => "crictl",
            Self::Prometheus => "prometheus",
            Self::PrometheusClient => "prometheus-client",
            Self::PageChecks => "page-checks",
            Self::SbomSchema => "sbom-schema",
        }
    }

    /// Its folder. It is built if it is missing, which can take minutes. Progress, and the reason for a failure, are printed to standard
    /// error.
    ///
    /// # Errors
    ///
    /// If it cannot be built.
    pub fn folder(self) -> Result<&'static Path, &'static Obstacle> {
        static FOLDERS: [OnceLock<Result<PathBuf, Obstacle>>; 7] = [const { OnceLock::new() }; 7];
        let folder = FOLDERS[self as usize].get_or_init(|| path_from(BUILD, &[self.name()]));
        folder.as_deref()
    }
}

/// The folder of a peer, for tests. It is built if it is missing, which can take minutes.
///
/// `None`, with a warning, if it cannot be built. If `CI` is set, panics unless the Go module proxy [cannot be
/// reached](Obstacle::OutOfReach).
#[track_caller]
pub fn folder(peer: Peer) -> Option<&'static Path> {
    skip::without_supply(peer.folder())
}
