//! Releases of Prometheus, with their programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::peers::{self, Peer};

/// A release of Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Debian's (Debian 12: 2.42).
    Debian,
    /// 3.x, with its programs in this folder.
    V3(&'static Path),
}

impl Release {
    /// Prometheus 3. `None` if its programs are missing, see [`peers::folder`].
    #[track_caller]
    pub fn v3() -> Option<Self> {
        peers::folder(Peer::Prometheus).map(Self::V3)
    }

    /// A command that runs `promtool`.
    pub fn promtool(self) -> Command {
        Command::new(self.program("promtool"))
    }

    /// `prometheus` or `promtool`.
    pub(super) fn program(self, name: &str) -> PathBuf {
        match self {
            Self::Debian => name.into(),
            Self::V3(folder) => folder.join(name),
        }
    }
}
