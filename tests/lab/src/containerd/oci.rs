//! An OCI image layout as a tar archive, for `ctr images import`.
//!
//! <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>; the archive format is POSIX ustar.

use std::fs;
use std::io::{Seek, Write};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A tar archive consists of blocks of this size.
const BLOCK: usize = 512;

/// The length of a tar archive is a multiple of this.
const RECORD: usize = 20 * BLOCK;

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An image with one layer or none. Its configuration contains its name, so that images differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciImage {
    /// The name with registry and tag, such as `example.org/a:1`.
    pub name: String,
    layer: Option<Layer>,
}

/// A layer, which images may share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// As it is stored and transferred.
    pub compressed: Vec<u8>,
    /// The digest of the archive that it unpacks to, in hexadecimal.
    diff_id: String,
}

/// The program of [`Layer::of_pause`] in a container.
const PAUSE: &str = "pause";

impl Layer {
    /// A layer with one file of this many zero bytes.
    #[track_caller]
    pub fn of_zeros(bytes: usize) -> Self {
        Self::of("zeros", &vec![0; bytes])
    }

    /// A layer with the program that every image names as its entry point, so that the image's containers can run: it waits.
    pub fn of_pause() -> Self {
        static LAYER: LazyLock<Layer> = LazyLock::new(|| {
            let folder = tempfile::tempdir().expect("a temporary folder can be made");
            let program = folder.path().join(PAUSE);
            let compiled = Command::new("cc")
                .args(["-static", "-s", "-Os"])
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/pause.c"))
                .arg("-o")
                .arg(&program)
                .output()
                .expect("cc(1) is installed: Rust links with it");
            assert!(compiled.status.success(), "{compiled:?}");
            Layer::of(PAUSE, &fs::read(program).expect("it was compiled"))
        });
        LAYER.clone()
    }

    #[track_caller]
    fn of(name: &str, content: &[u8]) -> Self {
        let mut archive = Archive::default();
        archive.add(name, content);
        let archive = archive.finish();
        let mut file = tempfile::tempfile().expect("a temporary file can be made");
        file.write_all(&archive).expect("there is room for a layer");
        file.rewind().expect("it is a file");
        let output = Command::new("gzip")
            .arg("--no-name")
            .stdin(file)
            .output()
            .expect("gzip is a part of every Debian");
        assert!(output.status.success(), "{output:?}");
        Self {
            compressed: output.stdout,
            diff_id: digest(&archive),
        }
    }
}

impl OciImage {
    /// An image of this name.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            layer: None,
        }
    }

    /// The same with this layer.
    #[must_use]
    pub fn with(self, layer: &Layer) -> Self {
        let layer = Some(layer.clone());
        Self { layer, ..self }
    }

    /// The digest of its configuration, in hexadecimal.
    pub(super) fn config_digest(&self) -> String {
        digest(&self.config())
    }

    fn config(&self) -> Vec<u8> {
        let layers = self.layer.iter();
        let diff_ids = layers.map(|layer| format!("sha256:{}", layer.diff_id));
        let diff_ids: Vec<String> = diff_ids.collect();
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": { "Labels": { "name": self.name }, "Entrypoint": [format!("/{PAUSE}")] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        config.to_string().into_bytes()
    }
}

/// A tar archive of an image layout with these images.
pub fn layout(images: &[OciImage]) -> Vec<u8> {
    let mut archive = Archive::default();
    archive.add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    let manifests: Vec<Value> = images
        .iter()
        .map(|image| {
            let config = archive.add_blob(CONFIG, &image.config());
            let layers = image.layer.iter();
            let layers = layers.map(|layer| archive.add_blob(LAYER, &layer.compressed));
            let layers: Vec<Value> = layers.collect();
            let manifest = json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": config,
                "layers": layers,
            });
            let mut manifest = archive.add_blob(MANIFEST, manifest.to_string().as_bytes());
            manifest["annotations"] = json!({ "io.containerd.image.name": image.name });
            manifest
        })
        .collect();
    let index = json!({ "schemaVersion": 2, "manifests": manifests });
    archive.add("index.json", index.to_string().as_bytes());
    archive.finish()
}

/// The architecture's name in Go, and therefore in OCI.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn digest(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
}

impl Archive {
    /// Adds a blob under its digest; returns its descriptor.
    fn add_blob(&mut self, media_type: &str, content: &[u8]) -> Value {
        let digest = digest(content);
        self.add(&format!("blobs/sha256/{digest}"), content);
        json!({
            "mediaType": media_type,
            "digest": format!("sha256:{digest}"),
            "size": content.len(),
        })
    }

    fn add(&mut self, name: &str, content: &[u8]) {
        let mut header = [0; BLOCK];
        let mut put = |at: usize, text: &str| {
            header[at..at + text.len()].copy_from_slice(text.as_bytes());
        };
        put(0, name);
        put(100, "0000755\0");
        put(108, "0000000\0");
        put(116, "0000000\0");
        put(124, &format!("{:011o}\0", content.len()));
        put(136, "00000000000\0");
        // The checksum is computed with blanks in its own field.
        put(148, "        ");
        put(156, "0");
        put(257, "ustar\x0000");
        let sum: u32 = header.iter().copied().map(u32::from).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(content);
        self.pad_to(BLOCK);
    }

    /// Appends the end of the archive: two empty blocks.
    fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&[0; 2 * BLOCK]);
        self.pad_to(RECORD);
        self.bytes
    }

    fn pad_to(&mut self, multiple: usize) {
        let length = self.bytes.len().next_multiple_of(multiple);
        self.bytes.resize(length, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn tar_unpacks_the_layout_and_the_digests_are_right() {
        let folder = tempfile::tempdir().unwrap();
        let images = [
            OciImage::named("example.org/a:1"),
            OciImage::named("example.org/b:1"),
        ];
        let tar = folder.path().join("images.tar");
        std::fs::write(&tar, layout(&images)).unwrap();
        let unpacked = Command::new("tar")
            .arg("-xf")
            .arg(&tar)
            .arg("-C")
            .arg(folder.path())
            .output()
            .unwrap();
        assert!(unpacked.status.success(), "{unpacked:?}");
        assert_eq!(unpacked.stderr, b"");
        let blobs = folder.path().join("blobs/sha256");
        let names: Vec<String> = std::fs::read_dir(&blobs)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names.len(), 2 * images.len());
        for name in names {
            let digest = Sha256::digest(std::fs::read(blobs.join(&name)).unwrap());
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digest, name);
        }
    }
}
