//! A real containerd with its own root, state and socket, with generated images, and with containers.
//!
//! | module | contents |
//! | --- | --- |
//! | `release` | Debian's containerd and 2.4: programs and configurations |
//! | `store` | the images: `ctr` and a CRI client |
//! | `oci` | generated images in an OCI image layout |
//! | `containers` | the containers: CRI and containerd's own API, and which images they do not use |
//! | `processes` | how it is started, and the end of its containers |
//! | `namespaces` | the names of images in a namespace: `ctr` and a client of containerd's own API |
//!
//! Needs root. Containers need runc and cgroups, and no CNI.

mod containers;
mod namespaces;
mod oci;
mod processes;
mod release;
mod store;

use std::env;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use rustix::fs::{CWD, Mode, StatVfs, mkfifoat, statvfs};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::identity::set_mode;
use crate::poll::eventually;
use crate::service::process;

pub use containers::{Container, ContainerState};
pub use oci::{Layer, OciImage, layout};
pub use release::{PAUSE_IMAGE, Release, Setup};

/// A file system in memory: on a disk, containerd's fsync of every file of an image would be slow.
const MEMORY: &str = "/dev/shm";

/// The space in bytes that several thousand images need there; containers often have less.
const ROOM: u64 = 512 << 20;

/// A containerd, running or stopped. Dropping it kills it and its containers, which outlive [`stop`](Self::stop) and
/// [`kill`](Self::kill).
#[derive(Debug)]
pub struct Containerd {
    release: Release,
    folder: TempDir,
    socket: PathBuf,
    /// Where it sends its own spans.
    otlp_endpoint: Option<String>,
    running: Option<Child>,
}

impl Containerd {
    /// Starts Debian's containerd without images, and waits until it serves CRI.
    pub fn start() -> Self {
        Self::start_of(Release::Debian)
    }

    /// Starts a containerd of this release without images, and waits until it serves CRI.
    pub fn start_of(release: Release) -> Self {
        let mut containerd = Self::prepare(release);
        containerd.launch(Setup::Plain);
        containerd.wait_until_ready();
        containerd
    }

    /// A containerd that is not started yet.
    pub fn prepare(release: Release) -> Self {
        let roomy = |fs: StatVfs| fs.f_bavail * fs.f_frsize >= ROOM;
        let folder = match statvfs(MEMORY).is_ok_and(roomy) {
            true => tempfile::tempdir_in(MEMORY),
            false => tempfile::tempdir(),
        };
        let folder = folder.expect("a temporary folder can be made");
        Self {
            release,
            socket: folder.path().join("containerd.sock"),
            folder,
            otlp_endpoint: None,
            running: None,
        }
    }

    /// The same with another socket, such as that of a containerd which it replaces.
    #[must_use]
    pub fn at(mut self, socket: PathBuf) -> Self {
        self.socket = socket;
        self
    }

    /// The same; sends its own spans to this OTLP/gRPC endpoint. For 2.4.
    #[must_use]
    pub fn traced_at(mut self, endpoint: String) -> Self {
        self.otlp_endpoint = Some(endpoint);
        self
    }

    /// Makes its folder accessible to every user; the mode of the socket decides who can connect.
    pub fn make_folder_public(&self) {
        set_mode(self.folder.path(), 0o755);
    }

    /// Starts it without waiting until it is ready.
    pub fn launch(&mut self, setup: Setup) {
        assert!(self.running.is_none(), "containerd is already running");
        let config = self.path("config.toml");
        let text = self.release.config(self.folder.path(), &self.socket, setup);
        fs::write(&config, text).expect("there is room for a file");
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.path("log"))
            .expect("there is room for a log");
        let mut command =
            processes::command(&self.release.program("containerd"), &self.path("run"));
        if let Release::V2_4(folder) = self.release {
            // It finds its shim there, and runc where Debian has it.
            let path = env::var("PATH").expect("the environment has a PATH");
            command.env("PATH", format!("{}:{path}", folder.display()));
        }
        if let Some(endpoint) = &self.otlp_endpoint {
            command
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
                .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
                // Milliseconds between two batches of spans; 5 seconds is the default.
                .env("OTEL_BSP_SCHEDULE_DELAY", "100");
        }
        let child = command
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

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("containerd runs").id()
    }

    /// Its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The value for the service's `--store`.
    pub fn url(&self) -> String {
        format!("cri+unix://{}", self.socket.display())
    }

    /// Its log, for failure messages.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
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
        // 1.6 crashes if its garbage collector runs while it stops, and leaves its socket.
        assert!(
            expected || self.release == Release::Debian,
            "{status}\n{}",
            self.log()
        );
        if !expected {
            let _ = fs::remove_file(&self.socket);
        }
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            // Fails only if the process has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
        processes::kill_containers(&self.path("run"));
        processes::kill_shims(self.folder.path());
    }
}
