//! A real containerd (Debian: containerd) with its own root, state and socket, and with generated images.
//!
//! Needs root. It runs no containers, and needs neither runc nor CNI nor cgroups to list images.

mod oci;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::cri_runtime::client;
use crate::cri_runtime::v1::Image;
use crate::identity::set_mode;
use crate::poll::eventually;
use crate::service::process;

pub use oci::{Layer, OciImage, layout};

/// A file system in memory: on a disk, containerd's fsync of every file of an image would be slow.
const MEMORY: &str = "/dev/shm";

/// A containerd, running or stopped. Dropping it kills it.
#[derive(Debug)]
pub struct Containerd {
    folder: TempDir,
    running: Option<Child>,
}

/// The configuration of containerd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The defaults, except for the folders.
    Plain,
    /// Without CRI.
    WithoutCri,
    /// Limits the messages that it sends to this many bytes.
    SendsAtMost(u32),
    /// The socket belongs to this group.
    SocketOfGroup(u32),
}

impl Containerd {
    /// Starts a containerd without images, and waits until it serves CRI.
    pub fn start() -> Self {
        let mut containerd = Self::prepare();
        containerd.launch(Setup::Plain);
        containerd.wait_until_ready();
        containerd
    }

    /// A containerd that is not started yet.
    pub fn prepare() -> Self {
        let memory = Path::new(MEMORY);
        let folder = match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        };
        Self {
            folder: folder.expect("a temporary folder can be made"),
            running: None,
        }
    }

    /// Makes its folder accessible to every user; the mode of the socket decides who can connect.
    pub fn make_folder_public(&self) {
        set_mode(self.folder.path(), 0o755);
    }

    /// Starts it without waiting until it is ready.
    pub fn launch(&mut self, setup: Setup) {
        assert!(self.running.is_none(), "containerd is already running");
        let config = self.path("config.toml");
        fs::write(&config, self.config(setup)).expect("there is room for a file");
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.path("log"))
            .expect("there is room for a log");
        let child = Command::new("containerd")
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("containerd is installed (Debian: containerd)");
        self.running = Some(child);
    }

    /// Waits until it serves CRI.
    #[track_caller]
    pub fn wait_until_ready(&self) {
        eventually("containerd to be ready", || self.images().ok());
    }

    /// Waits until CRI calls fail with this gRPC code.
    #[track_caller]
    pub fn wait_for_failure(&self, code: i32) {
        eventually("CRI calls to fail", || {
            let status = self.images().err()?;
            (status.code() as i32 == code).then_some(())
        });
    }

    /// Stops it like `systemctl stop`, and waits until it has ended and its socket is gone.
    pub fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    /// Kills it, and waits until it has ended; its stale socket remains.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// Stops all its threads with SIGSTOP, and waits until they have stopped. Clients can connect, but get no response.
    #[track_caller]
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        let child = self.running.as_ref().expect("containerd runs");
        eventually("containerd to stop", || {
            process::is_stopped(child.id()).then_some(())
        });
    }

    /// Resumes it after [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Replaces the image's configuration with a named pipe. containerd reads the configurations of all images when it starts,
    /// and then blocks until [`unblock`](Self::unblock) opens the pipe.
    pub fn block_at(&self, image: &OciImage) {
        let path = self.config_of(image);
        fs::remove_file(&path).expect("the image was imported");
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).expect("the name is free");
    }

    /// Ends this and every later wait, for as long as the returned file is open. The pipe is empty, so containerd finds the image
    /// broken and leaves it out.
    pub fn unblock(&self, image: &OciImage) -> File {
        let pipe = File::options()
            .read(true)
            .write(true)
            .open(self.config_of(image));
        pipe.expect("block_at has made the pipe")
    }

    fn config_of(&self, image: &OciImage) -> PathBuf {
        self.path("root/io.containerd.content.v1.content/blobs/sha256")
            .join(image.config_digest())
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.path("containerd.sock")
    }

    /// The value for the service's `--store`.
    pub fn url(&self) -> String {
        format!("cri+unix://{}", self.socket().display())
    }

    /// Its log, for failure messages.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Imports images, and waits until CRI lists them. It may list them without their tags at first.
    #[track_caller]
    pub fn import(&self, images: &[OciImage]) {
        let before = self.images().expect("containerd serves CRI").len();
        let tar = self.path("images.tar");
        fs::write(&tar, layout(images)).expect("there is room for the images");
        let tar = tar.to_str().expect("the path is UTF-8");
        self.ctr(&["images", "import", "--no-unpack", tar]);
        self.wait_for_images(before + images.len());
        eventually("the tags", || {
            let listed = self.images().ok()?;
            let tags = listed.iter().flat_map(|image| &image.repo_tags);
            let is_listed = |image: &OciImage| tags.clone().any(|tag| *tag == image.name);
            images.iter().all(is_listed).then_some(())
        });
    }

    /// Imports images into `ctr`'s default namespace, which CRI does not see.
    #[track_caller]
    pub fn import_elsewhere(&self, images: &[OciImage]) {
        let tar = self.path("elsewhere.tar");
        fs::write(&tar, layout(images)).expect("there is room for the images");
        let tar = tar.to_str().expect("its name is text");
        self.ctr_in("default", &["images", "import", "--no-unpack", tar]);
    }

    /// Removes an image's configuration from the content store; its names stay.
    #[track_caller]
    pub fn lose_config_of(&self, image: &OciImage) {
        let digest = format!("sha256:{}", image.config_digest());
        self.ctr(&["content", "rm", &digest]);
    }

    /// Waits until CRI lists `count` images.
    #[track_caller]
    pub fn wait_for_images(&self, count: usize) {
        eventually(&format!("{count} images"), || {
            let images = self.images().ok()?;
            (images.len() == count).then_some(())
        });
    }

    /// Removes one name of an image.
    #[track_caller]
    pub fn remove_name(&self, name: &str) {
        self.ctr(&["images", "rm", name]);
    }

    /// All images, as listed by a generated CRI client.
    ///
    /// # Errors
    ///
    /// The status of the failed call.
    pub fn images(&self) -> Result<Vec<Image>, tonic::Status> {
        client::list_images(&self.socket())
    }

    /// The number of images in `ctr images ls`. Names with the same manifest digest count as one image.
    #[track_caller]
    pub fn ctr_images(&self) -> usize {
        let table = self.ctr(&["images", "ls"]);
        // REF TYPE DIGEST SIZE PLATFORMS LABELS
        let digests = table
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().nth(2));
        digests.collect::<BTreeSet<_>>().len()
    }

    /// The number of names in `ctr images ls`.
    #[track_caller]
    pub fn ctr_names(&self) -> usize {
        self.ctr(&["images", "ls", "-q"]).lines().count()
    }

    /// Runs `ctr` in the namespace of Kubernetes, and returns its output.
    #[track_caller]
    fn ctr(&self, arguments: &[&str]) -> String {
        self.ctr_in("k8s.io", arguments)
    }

    /// Runs `ctr` in this namespace, and returns its output.
    #[track_caller]
    fn ctr_in(&self, namespace: &str, arguments: &[&str]) -> String {
        let output = Command::new("ctr")
            .arg("--address")
            .arg(self.socket())
            .args(["--namespace", namespace])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("ctr comes with containerd");
        assert!(output.status.success(), "{output:?}\n{}", self.log());
        String::from_utf8(output.stdout).expect("ctr prints text")
    }

    fn config(&self, setup: Setup) -> String {
        let folder = self.folder.path().display();
        let (top, grpc) = match setup {
            Setup::Plain => (String::new(), String::new()),
            Setup::WithoutCri => (
                r#"disabled_plugins = ["io.containerd.grpc.v1.cri"]"#.to_owned(),
                String::new(),
            ),
            Setup::SendsAtMost(bytes) => {
                (String::new(), format!("max_send_message_size = {bytes}"))
            }
            Setup::SocketOfGroup(group) => (String::new(), format!("gid = {group}")),
        };
        format!(
            r#"version = 2
root = "{folder}/root"
state = "{folder}/state"
{top}
[grpc]
  address = "{folder}/containerd.sock"
  {grpc}
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{folder}/cni/bin"
  conf_dir = "{folder}/cni/net.d"
"#
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn signal(&self, signal: Signal) {
        let child = self.running.as_ref().expect("containerd runs");
        kill_process(Pid::from_child(child), signal).expect("it is our child");
    }

    fn end(&mut self, signal: Signal) {
        self.signal(signal);
        let mut child = self.running.take().expect("containerd runs");
        let status = child.wait().expect("it is our child");
        let expected = status.success() || status.signal() == Some(signal.as_raw());
        assert!(expected, "{status}\n{}", self.log());
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            // Fails only if the process has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
