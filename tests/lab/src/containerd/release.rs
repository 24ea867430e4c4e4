//! Releases of containerd, with their programs and configurations.

use std::path::{Path, PathBuf};

use crate::peers::{self, Peer};

/// The image of every pod's sandbox. 2.4 pins it.
pub const PAUSE_IMAGE: &str = "example.org/pause:1";

/// It copies files, and works on every file system; containerd's default, overlayfs, does not work on itself.
pub(super) const SNAPSHOTTER: &str = "native";

/// A release of containerd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Debian's (Debian 12: 1.6), which has neither StreamImages nor pins.
    Debian,
    /// 2.4, which has both, with its programs in this folder.
    V2_4(&'static Path),
}

/// The configuration of containerd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The defaults, except for the folders.
    Plain,
    /// Without CRI.
    WithoutCri,
    /// Limits the messages that it sends to this many bytes.
    SendsAtMost(usize),
    /// The socket belongs to this group.
    SocketOfGroup(u32),
}

impl Release {
    /// containerd 2.4. `None` if its programs are missing, see [`peers::folder`].
    #[track_caller]
    pub fn v2_4() -> Option<Self> {
        peers::folder(Peer::Containerd).map(Self::V2_4)
    }

    /// `containerd` or `ctr`.
    pub(super) fn program(self, name: &str) -> PathBuf {
        match self {
            Self::Debian => name.into(),
            Self::V2_4(folder) => folder.join(name),
        }
    }

    /// The content of config.toml.
    pub(super) fn config(self, folder: &Path, socket: &Path, setup: Setup) -> String {
        let top = match setup {
            Setup::WithoutCri => r#"disabled_plugins = ["io.containerd.grpc.v1.cri"]"#,
            _ => "",
        };
        let grpc = match setup {
            Setup::SendsAtMost(bytes) => format!("max_send_message_size = {bytes}"),
            Setup::SocketOfGroup(group) => format!("gid = {group}"),
            Setup::Plain | Setup::WithoutCri => String::new(),
        };
        let plugins = self.plugins(folder, socket, &grpc);
        let folder = folder.display();
        format!(
            r#"{top}
root = "{folder}/root"
state = "{folder}/state"
{plugins}
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
"#
        )
    }

    /// The sections that have different names in the two versions of the file. 2.4 reads both, but ignores `[grpc]` in a file of version 4.
    ///
    /// A sandbox usually gets a negative `oom_score_adj`. That needs CAP_SYS_RESOURCE, which root in a container lacks.
    fn plugins(self, folder: &Path, socket: &Path, grpc: &str) -> String {
        let (folder, socket) = (folder.display(), socket.display());
        match self {
            Self::Debian => format!(
                r#"version = 2
[grpc]
  address = "{socket}"
  {grpc}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "{SNAPSHOTTER}"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{folder}/cni/bin"
  conf_dir = "{folder}/cni/net.d"
"#
            ),
            Self::V2_4(_) => format!(
                r#"version = 4
[plugins."io.containerd.server.v1.grpc"]
  address = "{socket}"
  {grpc}
[plugins."io.containerd.server.v1.ttrpc"]
  address = "{socket}.ttrpc"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "{SNAPSHOTTER}"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["{folder}/cni/bin"]
  conf_dir = "{folder}/cni/net.d"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
"#
            ),
        }
    }
}
