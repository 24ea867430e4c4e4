//! The programs of peers that `tests/peers` builds from source: versions that Debian does not have.

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
}

/// Why a peer is missing.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// The Go module proxy cannot be reached, or the build takes too long.
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
        }
    }

    /// The folder of its programs. They are built if they are missing, which takes minutes. The progress, and the reason of a
    /// failure, are printed to standard error.
    ///
    /// # Errors
    ///
    /// If the programs cannot be built.
    pub fn programs(self) -> Result<&'static Path, &'static Obstacle> {
        static JAEGER: LazyLock<Result<PathBuf, Obstacle>> = LazyLock::new(|| build(Peer::Jaeger));
        static CONTAINERD: LazyLock<Result<PathBuf, Obstacle>> =
            LazyLock::new(|| build(Peer::Containerd));
        let built = match self {
            Self::Jaeger => &*JAEGER,
            Self::Containerd => &*CONTAINERD,
        };
        built.as_deref()
    }
}

/// The folder of a peer's programs, for tests. They are built if they are missing, which takes minutes.
///
/// `None` if they cannot be built, with a warning. Panics if `CI` is set and the peer is not [left out](Obstacle::LeftOut).
#[track_caller]
pub fn programs(peer: Peer) -> Option<&'static Path> {
    match peer.programs() {
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
