//! Identities with which root can run a program by `setpriv(1)`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Arguments of `setpriv`: a user and a group without privileges.
pub const NOBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];

/// The group of [`MEMBER`].
pub const GROUP: u32 = 64_000;

/// Arguments of `setpriv`: the same user, with [`GROUP`] as a supplementary group.
pub const MEMBER: [&str; 3] = ["--reuid=65534", "--regid=65534", "--groups=64000"];

/// Arguments of `setpriv`: uid 0 without any capability.
pub const POWERLESS_ROOT: [&str; 3] = ["--inh-caps=-all", "--bounding-set=-all", "--clear-groups"];

/// A copy of a program in a folder that all users can enter.
#[derive(Debug)]
pub struct PublicProgram {
    folder: TempDir,
    path: PathBuf,
}

impl PublicProgram {
    /// Copies the program.
    pub fn copy_of(program: impl AsRef<Path>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        set_mode(folder.path(), 0o755);
        let path = folder.path().join("program");
        fs::copy(program, &path).expect("there is room for a copy");
        Self { folder, path }
    }

    /// The path of the copy.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the copy. Tests may also put sockets there.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Changes the mode of a file; panics on failure.
pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("the file is ours");
}
