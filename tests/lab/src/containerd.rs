//! A real containerd (Debian: containerd) with a root, state and socket of its own, and images that no registry has seen.
//!
//! Needs root. It contains no container: runc, CNI and cgroups are not needed for listing images.

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

pub use oci::{OciImage, layout};

/// Where files cost no disk: containerd syncs each of an image's.
const MEMORY: &str = "/dev/shm";

/// A containerd that runs, or has run. Dropping it kills it.
#[derive(Debug)]
pub struct Containerd {
    folder: TempDir,
    running: Option<Child>,
}

/// What containerd is configured to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Nothing but its own folders.
    Plain,
    /// It does not serve CRI.
    WithoutCri,
    /// It sends no message that is longer than so many bytes.
    SendsAtMost(u32),
    /// Its socket belongs to this group.
    SocketOfGroup(u32),
}

impl Containerd {
    /// A containerd without images that answers CRI.
    pub fn start() -> Self {
        let mut containerd = Self::prepare();
        containerd.launch(Setup::Plain);
        containerd.wait_until_ready();
        containerd
    }

    /// One that is not started yet.
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

    /// Lets everybody as far as its socket; who may connect is the socket's affair.
    pub fn admit_everybody(&self) {
        set_mode(self.folder.path(), 0o755);
    }

    /// Starts it, and does not wait until it serves.
    pub fn launch(&mut self, setup: Setup) {
        assert!(self.running.is_none(), "it runs already");
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

    /// Waits until it answers CRI.
    #[track_caller]
    pub fn wait_until_ready(&self) {
        eventually("containerd to be ready", || self.images().ok());
    }

    /// Waits until it answers CRI with this gRPC code.
    #[track_caller]
    pub fn wait_until_it_refuses(&self, code: i32) {
        eventually("containerd to refuse", || {
            let refusal = self.images().err()?;
            (refusal.code() as i32 == code).then_some(())
        });
    }

    /// Ends it as `systemctl stop` does, and waits until it has; its socket is gone then.
    pub fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    /// Kills it, and waits until it is gone; its socket stays, stale.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// Stops all its threads, and returns when they have: who connects waits.
    #[track_caller]
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        let child = self.running.as_ref().expect("it runs");
        eventually("the stop", || process::is_stopped(child.id()).then_some(()));
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Puts a pipe in the place of an image's configuration: whoever reads its store, as it does at its start, waits until somebody
    /// [writes](Self::let_go_on) to it.
    pub fn hold_up_at(&self, image: &OciImage) {
        let path = self.config_of(image);
        fs::remove_file(&path).expect("it was imported");
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).expect("the name is free");
    }

    /// Ends that wait, and every further one. There is nothing to read: the image is broken, and left out.
    pub fn let_go_on(&self, image: &OciImage) -> File {
        let pipe = File::options()
            .read(true)
            .write(true)
            .open(self.config_of(image));
        pipe.expect("it is there")
    }

    fn config_of(&self, image: &OciImage) -> PathBuf {
        self.path("root/io.containerd.content.v1.content/blobs/sha256")
            .join(image.config_digest())
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.path("containerd.sock")
    }

    /// What the service's `--store` takes.
    pub fn url(&self) -> String {
        format!("cri+unix://{}", self.socket().display())
    }

    /// What it has logged, for people.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Imports images, and waits until CRI lists so many more.
    #[track_caller]
    pub fn import(&self, images: &[OciImage]) {
        let before = self.images().expect("it answers").len();
        let tar = self.path("images.tar");
        fs::write(&tar, layout(images)).expect("there is room for the images");
        let tar = tar.to_str().expect("its name is text");
        self.ctr(&["images", "import", "--no-unpack", tar]);
        self.wait_for_images(before + images.len());
    }

    /// Waits until CRI lists so many images.
    #[track_caller]
    pub fn wait_for_images(&self, count: usize) {
        eventually(&format!("{count} images"), || {
            let images = self.images().ok()?;
            (images.len() == count).then_some(())
        });
    }

    /// Removes one name, and nothing else.
    #[track_caller]
    pub fn remove_name(&self, name: &str) {
        self.ctr(&["images", "rm", name]);
    }

    /// All images, as a plain CRI client lists them.
    ///
    /// # Errors
    ///
    /// The status that it got instead.
    pub fn images(&self) -> Result<Vec<Image>, tonic::Status> {
        client::list_images(&self.socket())
    }

    /// The distinct images (by their manifests' digests) among the names that `ctr images ls` lists.
    #[track_caller]
    pub fn images_of_ctr(&self) -> usize {
        let table = self.ctr(&["images", "ls"]);
        // REF TYPE DIGEST SIZE PLATFORMS LABELS
        let digests = table
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().nth(2));
        digests.collect::<BTreeSet<_>>().len()
    }

    /// How many names `ctr images ls` lists.
    #[track_caller]
    pub fn names_of_ctr(&self) -> usize {
        self.ctr(&["images", "ls", "-q"]).lines().count()
    }

    /// Runs `ctr` in the namespace of Kubernetes; what it prints.
    #[track_caller]
    fn ctr(&self, arguments: &[&str]) -> String {
        let output = Command::new("ctr")
            .arg("--address")
            .arg(self.socket())
            .args(["--namespace", "k8s.io"])
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
        let child = self.running.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("it is our child");
    }

    fn end(&mut self, signal: Signal) {
        self.signal(signal);
        let mut child = self.running.take().expect("it runs");
        let status = child.wait().expect("it is our child");
        let expected = status.success() || status.signal() == Some(signal.as_raw());
        assert!(expected, "{status}\n{}", self.log());
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            // Fails only if it is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
