//! The programs of peers that `tests/peers` builds from source: versions that Debian does not have.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::skip;

const BUILD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../peers/build");

/// The exit status of [`BUILD`] if the programs cannot be had here, through no fault of this repository.
const LEFT_OUT: i32 = 3;

/// A peer below `tests/peers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// `jaeger`: Jaeger v2.
    Jaeger,
    /// `containerd` and `ctr`, of the first minor version with `StreamImages`.
    Containerd,
}

/// The folder of a peer's programs. They are built if they are missing, which takes minutes.
///
/// `None` if they cannot be built, with a warning. Panics if `CI` is set, unless the reason is that the Go module proxy cannot be
/// reached or that the build takes too long.
#[track_caller]
pub fn programs(peer: Peer) -> Option<&'static Path> {
    static JAEGER: LazyLock<Result<PathBuf, Obstacle>> = LazyLock::new(|| build("jaeger"));
    static CONTAINERD: LazyLock<Result<PathBuf, Obstacle>> = LazyLock::new(|| build("containerd"));
    let built = match peer {
        Peer::Jaeger => &*JAEGER,
        Peer::Containerd => &*CONTAINERD,
    };
    match built {
        Ok(folder) => return Some(folder),
        Err(Obstacle::LeftOut(why)) => skip::permitted(why),
        Err(Obstacle::Failure(why)) => skip::loudly(why),
    }
    None
}

/// Why a peer is missing.
enum Obstacle {
    LeftOut(String),
    Failure(String),
}

/// The script's standard error is inherited: it shows the progress, and the reason of a failure.
fn build(peer: &str) -> Result<PathBuf, Obstacle> {
    let built = Command::new(BUILD)
        .arg(peer)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Obstacle::Failure(format!("{BUILD} does not start: {error}")))?;
    match built.status.code() {
        Some(0) => Ok(PathBuf::from(
            String::from_utf8_lossy(&built.stdout).trim_end(),
        )),
        Some(LEFT_OUT) => Err(Obstacle::LeftOut(format!("{peer} is left out, see above"))),
        _ => Err(Obstacle::Failure(format!(
            "{BUILD} {peer} failed, see above"
        ))),
    }
}
