//! The images of a containerd: `ctr` changes and lists them, and a generated CRI client lists them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use prost::Message;

use super::{Containerd, OciImage, layout};
use crate::cri_runtime::client;
use crate::cri_runtime::v1::{Image, StreamImagesResponse};
use crate::poll::eventually;

/// The largest number of images in an archive, so that large imports are concurrent. `ctr` refuses archives with more than 10,000 manifests,
/// configurations and layers.
const IMPORTED_AT_ONCE: usize = 1_000;

impl Containerd {
    /// Imports images, and waits until CRI lists them. It may list them without their tags at first.
    #[track_caller]
    pub fn import(&self, images: &[OciImage]) {
        let before = self.images().expect("containerd serves CRI").len();
        self.import_into("k8s.io", images);
        self.wait_for_images(before + images.len());
        eventually("the tags", || {
            let listed = self.images().ok()?;
            let tags = listed.iter().flat_map(|image| &image.repo_tags);
            let tags: BTreeSet<_> = tags.collect();
            let is_listed = |image: &OciImage| tags.contains(&image.name);
            images.iter().all(is_listed).then_some(())
        });
    }

    /// Imports images into this namespace, and does not wait for CRI, which sees the namespace `k8s.io` only.
    pub fn import_into(&self, namespace: &str, images: &[OciImage]) {
        thread::scope(|scope| {
            for (ordinal, part) in images.chunks(IMPORTED_AT_ONCE).enumerate() {
                let tar = self.path(&format!("images-{ordinal}.tar"));
                fs::write(&tar, layout(part)).expect("there is room for the images");
                scope.spawn(move || {
                    let tar = tar.to_str().expect("the path is UTF-8");
                    self.ctr_in(namespace, &["images", "import", "--no-unpack", tar]);
                });
            }
        });
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

    /// Pins an image: all of its names.
    #[track_caller]
    pub fn pin(&self, name: &str) {
        self.ctr(&["images", "label", name, "io.cri-containerd.pinned=pinned"]);
    }

    /// All images, as listed by a generated CRI client.
    ///
    /// # Errors
    ///
    /// The status of the failed call.
    pub fn images(&self) -> Result<Vec<Image>, tonic::Status> {
        client::list_images(self.socket())
    }

    /// The messages of StreamImages, as received by a generated CRI client: how many images each has, and its length in bytes.
    ///
    /// # Errors
    ///
    /// The status of the failed call.
    pub fn streamed(&self) -> Result<Vec<(usize, usize)>, tonic::Status> {
        let (batches, end) = client::stream_images(self.socket());
        end?;
        let messages = batches
            .into_iter()
            .map(|images| (images.len(), StreamImagesResponse { images }.encoded_len()));
        Ok(messages.collect())
    }

    /// The number of images in `ctr images ls`: one of the names of each is its id.
    #[track_caller]
    pub fn ctr_images(&self) -> usize {
        let names = self.ctr(&["images", "ls", "-q"]);
        let ids = names.lines().filter(|name| name.starts_with("sha256:"));
        ids.count()
    }

    /// The number of names in `ctr images ls`.
    #[track_caller]
    pub fn ctr_names(&self) -> usize {
        self.ctr(&["images", "ls", "-q"]).lines().count()
    }

    /// A command that runs `ctr` in this namespace; its arguments are missing.
    pub fn ctr_command(&self, namespace: &str) -> Command {
        let mut command = Command::new(self.release.program("ctr"));
        command
            .arg("--address")
            .arg(self.socket())
            .args(["--namespace", namespace])
            .stdin(Stdio::null());
        command
    }

    /// A command that runs `crictl` from the folder of [`Peer::Crictl`](crate::peers::Peer::Crictl); its arguments are missing.
    pub fn crictl_command(&self, folder: &Path) -> Command {
        let endpoint = format!("unix://{}", self.socket().display());
        let mut command = Command::new(folder.join("crictl"));
        command
            .args([
                "--runtime-endpoint",
                &endpoint,
                "--image-endpoint",
                &endpoint,
            ])
            .stdin(Stdio::null());
        command
    }

    /// Runs `ctr` in the namespace of Kubernetes, and returns its output.
    #[track_caller]
    fn ctr(&self, arguments: &[&str]) -> String {
        self.ctr_in("k8s.io", arguments)
    }

    /// Runs `ctr` in this namespace, and returns its output.
    #[track_caller]
    pub fn ctr_in(&self, namespace: &str, arguments: &[&str]) -> String {
        let mut command = self.ctr_command(namespace);
        let output = command.args(arguments).output();
        let output = output.expect("ctr comes with containerd");
        assert!(output.status.success(), "{output:?}\n{}", self.log());
        String::from_utf8(output.stdout).expect("ctr prints text")
    }
}
