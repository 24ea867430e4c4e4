//! Size of the file systems that hold images, and what is left on them, as this process sees them: statvfs(3).
//!
//! A runtime reports only what its images use. A mount point that the sandbox hides has no numbers.

use std::{fs, path::Path};

use rustix::{
    fs::{FsWord, stat, statfs, statvfs},
    io::Errno,
};
use tokio::{
    sync::Semaphore,
    task::{JoinHandle, spawn_blocking},
};

use super::grpc::Limit;
use crate::answer::{Filesystem, QueryError};

/// The type of a file system in memory, see statfs(2).
const TMPFS: FsWord = 0x0102_1994;

/// The mounts that this process sees, see proc(5).
const MOUNTS: &str = "/proc/self/mountinfo";

/// Measurements at a time. Those that hang leave threads for name lookups.
static MEASUREMENTS: Semaphore = Semaphore::const_new(4);

/// Measures file systems on another thread, because one that hangs blocks its caller.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// The previous measurement, if it hung.
    hanging: Option<JoinHandle<Vec<Measured>>>,
}

/// Size and available bytes; `None` if the mount point cannot be seen.
type Measured = Option<(u64, u64)>;

impl Space {
    /// Adds the numbers to `filesystems`, unless that takes longer than `limit`, or an earlier measurement still hangs.
    pub(super) async fn measure(&mut self, filesystems: &mut [Filesystem], limit: &Limit) {
        if self
            .hanging
            .as_ref()
            .is_some_and(|task| !task.is_finished())
        {
            tracing::debug!("file systems not measured: the previous measurement hangs");
            return;
        }
        let mountpoints: Vec<_> = filesystems
            .iter()
            .map(|known| known.mountpoint.clone())
            .collect();
        let hanging = &mut self.hanging;
        let measuring = async {
            let permit = MEASUREMENTS.acquire().await;
            let measure = move || {
                let _permit = permit;
                mountpoints.iter().map(|path| measured(path)).collect()
            };
            Ok::<_, QueryError>(hanging.insert(spawn_blocking(measure)).await)
        };
        let ended = limit.hold(measuring).await;
        let Ok(ended) = ended else {
            tracing::debug!("file systems not measured: they do not respond");
            return;
        };
        self.hanging = None;
        for (filesystem, measured) in filesystems.iter_mut().zip(ended.unwrap_or_default()) {
            (filesystem.size_bytes, filesystem.avail_bytes) = measured.unzip();
        }
    }
}

/// A runtime may keep its directory to itself: then the nearest directory above that can be seen is on the same file system, unless
/// something is mounted between them.
fn measured(mountpoint: &str) -> Measured {
    let path = Path::new(mountpoint);
    let seen = path
        .ancestors()
        .find(|path| stat(*path).err() != Some(Errno::ACCESS))?;
    if !path.is_absolute() || is_in_sandbox(seen)? {
        return None;
    }
    if seen != path && has_mount_between(&fs::read_to_string(MOUNTS).ok()?, seen, path) {
        return None;
    }
    let space = statvfs(seen).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
    Some((bytes(space.f_blocks), bytes(space.f_bavail)))
}

/// Whether the path is a directory of the sandbox's own root, which is in memory. `None` if there is no such path.
fn is_in_sandbox(path: &Path) -> Option<bool> {
    let (device, root) = (stat(path).ok()?.st_dev, stat("/").ok()?.st_dev);
    Some(device == root && statfs("/").ok()?.f_type == TMPFS)
}

/// Whether a mount point is below `above`, and is `path` or above it.
fn has_mount_between(mounts: &str, above: &Path, path: &Path) -> bool {
    // The fifth field, with blanks and backslashes escaped, which no known runtime has in its paths.
    let mut mount_points = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(Path::new);
    mount_points.any(|point| point != above && point.starts_with(above) && path.starts_with(point))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_util::sync::CancellationToken;

    use super::{Filesystem, Limit, Path, Space, has_mount_between, spawn_blocking};

    /// It exists everywhere, and its size is 0.
    const SEEN: &str = "/proc";

    fn filesystem(mountpoint: &str) -> Filesystem {
        Filesystem {
            mountpoint: mountpoint.to_owned(),
            used_bytes: None,
            inodes_used: None,
            size_bytes: None,
            avail_bytes: None,
        }
    }

    fn limit() -> Limit {
        Limit::new(Duration::from_secs(60), CancellationToken::new())
    }

    #[tokio::test]
    async fn a_mount_point_that_can_be_seen_has_a_size_and_others_have_none() {
        let mountpoints = [SEEN, "/nowhere", "(none)", "src", "/proc/version/x"];
        let mut filesystems = mountpoints.map(filesystem);
        Space::default().measure(&mut filesystems, &limit()).await;
        let sizes = filesystems.map(|filesystem| filesystem.size_bytes);
        assert_eq!(sizes, [Some(0), None, None, None, None]);
    }

    #[test]
    fn a_mount_between_two_directories_is_seen() {
        let mounts = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                      23 22 8:2 / /var/lib/containerd rw shared:1 - xfs /dev/sdb1 rw\n\
                      24 23 8:3 / /var/lib/containerd/snapshots rw - xfs /dev/sdc1 rw\n";
        let above = Path::new("/var/lib/containerd");
        for (path, between) in [
            ("/var/lib/containerd/images", false),
            ("/var/lib/containerd/snapshots", true),
            ("/var/lib/containerd/snapshots/overlay", true),
            ("/var/lib/containerd/snapshots-of-old", false),
        ] {
            assert_eq!(
                has_mount_between(mounts, above, Path::new(path)),
                between,
                "{path}"
            );
        }
    }

    #[tokio::test]
    async fn while_a_measurement_hangs_no_other_begins() {
        let (end, hang) = std::sync::mpsc::channel::<()>();
        let mut space = Space {
            hanging: Some(spawn_blocking(move || {
                let _ = hang.recv();
                Vec::new()
            })),
        };
        let mut filesystems = [filesystem(SEEN)];
        space.measure(&mut filesystems, &limit()).await;
        assert_eq!(filesystems[0].size_bytes, None);
        drop(end);
        let hanging = space.hanging.as_mut().expect("it is kept");
        hanging.await.expect("it ends");
        space.measure(&mut filesystems, &limit()).await;
        assert_eq!(filesystems[0].avail_bytes, Some(0));
    }

    #[tokio::test]
    async fn a_measurement_is_given_up_at_the_limit() {
        let abandoned = CancellationToken::new();
        abandoned.cancel();
        let limit = Limit::new(Duration::from_secs(60), abandoned);
        let mut filesystems = [filesystem(SEEN)];
        let mut space = Space::default();
        space.measure(&mut filesystems, &limit).await;
        assert_eq!(filesystems[0].size_bytes, None);
    }
}
