//! The peers that `tests/peers/build` gets: programs and versions that Debian does not have.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::skip;

const BUILD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../peers/build");

/// The exit status of [`BUILD`] for [`Obstacle::LeftOut`].
const LEFT_OUT: i32 = 3;

/// A peer below `tests/peers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// `jaeger`: Jaeger v2.
    Jaeger,
    /// `containerd` and `ctr`, of the first minor version with `StreamImages`.
    Containerd,
    /// `prometheus_client`, a module of Python: the reference parser of OpenMetrics.
    PrometheusClient,
    /// `node_modules` with axe-core and html-validate, and the program `node` that runs them.
    PageChecks,
}

/// Why a peer is missing.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// The Go module proxy cannot be reached.
    #[error("{peer} is left out, for the reason above", peer = .0.name())]
    LeftOut(Peer),
    /// Anything else.
    #[error("{BUILD} {peer} has failed, for the reason above", peer = .0.name())]
    Failed(Peer),
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Self::Jaeger => "jaeger",
            Self::Containerd => "containerd",
            Self::PrometheusClient => "prometheus-client",
            Self::PageChecks => "page-checks",
        }
    }

    /// Its folder. It is built if it is missing, which can take minutes. Progress, and the reason for a failure, are printed to standard
    /// error.
    ///
    /// # Errors
    ///
    /// If it cannot be built.
    pub fn folder(self) -> Result<&'static Path, &'static Obstacle> {
        static JAEGER: LazyLock<Result<PathBuf, Obstacle>> = LazyLock::new(|| build(Peer::Jaeger));
        static CONTAINERD: LazyLock<Result<PathBuf, Obstacle>> =
            LazyLock::new(|| build(Peer::Containerd));
        static PROMETHEUS_CLIENT: LazyLock<Result<PathBuf, Obstacle>> =
            LazyLock::new(|| build(Peer::PrometheusClient));
        static PAGE_CHECKS: LazyLock<Result<PathBuf, Obstacle>> =
            LazyLock::new(|| build(Peer::PageChecks));
        let built = match self {
            Self::Jaeger => &*JAEGER,
            Self::Containerd => &*CONTAINERD,
            Self::PrometheusClient => &*PROMETHEUS_CLIENT,
            Self::PageChecks => &*PAGE_CHECKS,
        };
        built.as_deref()
    }
}

/// The folder of a peer, for tests. It is built if it is missing, which can take minutes.
///
/// `None`, with a warning, if it cannot be built. If `CI` is set, panics unless the peer is [left out](Obstacle::LeftOut).
#[track_caller]
pub fn folder(peer: Peer) -> Option<&'static Path> {
    match peer.folder() {
        Ok(folder) => return Some(folder),
        Err(left_out @ Obstacle::LeftOut(_)) => skip::permitted(left_out),
        Err(failed @ Obstacle::Failed(_)) => skip::loudly(failed),
    }
    None
}

fn build(peer: Peer) -> Result<PathBuf, Obstacle> {
    let built = Command::new(BUILD)
        .arg(peer.name())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("{BUILD} does not start: {error}"));
    match built.status.code() {
        Some(0) => Ok(PathBuf::from(
            String::from_utf8_lossy(&built.stdout).trim_end(),
        )),
        Some(LEFT_OUT) => Err(Obstacle::LeftOut(peer)),
        _ => Err(Obstacle::Failed(peer)),
    }
}
