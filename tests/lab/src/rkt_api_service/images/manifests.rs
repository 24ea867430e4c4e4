//! A directory of image manifests: ACI's and OCI's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde_json::Value;
use sha2::{Digest, Sha512};

use crate::rkt_api_service::v1alpha::{Image, ImageFormat, ImageType, KeyValue};

/// Hexadecimal digits of a SHA-512 that rkt keeps of it.
const ID_DIGITS: usize = 64;

/// All images of a directory, by file name.
pub(super) fn read(directory: &Path) -> io::Result<Vec<Image>> {
    let mut files = fs::read_dir(directory)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<PathBuf>>>()?;
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "json")
    });
    files.sort();
    let image_or_line = |file: &PathBuf| {
        let image = read_manifest(file);
        image
            .inspect_err(|reason| eprintln!("left out {}: {reason}", file.display()))
            .ok()
    };
    Ok(files.iter().filter_map(image_or_line).collect())
}

fn read_manifest(file: &Path) -> io::Result<Image> {
    let manifest = fs::read(file)?;
    let json: Value = serde_json::from_slice(&manifest)?;
    let modified = fs::metadata(file)?.modified()?;
    let since_epoch = modified
        .duration_since(UNIX_EPOCH)
        .map_err(io::Error::other)?;
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let described = if json["acKind"] == "ImageManifest" {
        aci(&json, manifest.len())
    } else if json["schemaVersion"] == 2 && json["layers"].is_array() {
        Ok(oci(&json, &stem))
    } else {
        Err(io::Error::other(
            "neither an ACI ImageManifest nor an OCI image manifest",
        ))
    };
    Ok(Image {
        id: id(&manifest),
        import_timestamp: i64::try_from(since_epoch.as_secs()).map_err(io::Error::other)?,
        manifest,
        ..described?
    })
}

fn id(manifest: &[u8]) -> String {
    let digest = Sha512::digest(manifest);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha512-{}", &hex[..ID_DIGITS])
}

fn aci(json: &Value, length: usize) -> io::Result<Image> {
    let name = json["name"]
        .as_str()
        .ok_or_else(|| io::Error::other("an ACI ImageManifest without a name"))?;
    let labels = named_values(&json["labels"]);
    let version = labels.iter().find(|label| label.key == "version");
    Ok(Image {
        base_format: format(ImageType::Appc, text(&json["acVersion"])),
        name: name.to_owned(),
        version: version.map_or("latest".into(), |label| label.value.clone()),
        size: i64::try_from(length).map_err(io::Error::other)?,
        annotations: named_values(&json["annotations"]),
        labels,
        ..Image::default()
    })
}

fn oci(json: &Value, stem: &str) -> Image {
    let annotation = |name: &str| json["annotations"][name].as_str();
    let reference = annotation("org.opencontainers.image.ref.name").unwrap_or(stem);
    let (name, tag) = split_tag(reference);
    let version = tag
        .or(annotation("org.opencontainers.image.version"))
        .unwrap_or("latest");
    let layers = json["layers"].as_array().into_iter().flatten();
    let blobs = layers.chain([&json["config"]]);
    Image {
        base_format: format(ImageType::Oci, "1.0.0".into()),
        name: name.to_owned(),
        version: version.to_owned(),
        size: blobs.filter_map(|blob| blob["size"].as_i64()).sum(),
        annotations: json["annotations"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| pair(key.clone(), text(value)))
            .collect(),
        labels: vec![pair("version".into(), version.to_owned())],
        ..Image::default()
    }
}

/// `localhost:5000/app:1.2` is `localhost:5000/app` and `1.2`.
fn split_tag(reference: &str) -> (&str, Option<&str>) {
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (reference, None),
    }
}

fn named_values(list: &Value) -> Vec<KeyValue> {
    let entries = list.as_array().into_iter().flatten();
    entries
        .map(|entry| pair(text(&entry["name"]), text(&entry["value"])))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn pair(key: String, value: String) -> KeyValue {
    KeyValue { key, value }
}

fn format(r#type: ImageType, version: String) -> Option<ImageFormat> {
    Some(ImageFormat {
        r#type: r#type.into(),
        version,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_read_and_the_rest_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        let aci = r#"{"acKind":"ImageManifest","acVersion":"0.8.11","name":"coreos.com/etcd",
            "labels":[{"name":"version","value":"v3.1.7"}],"annotations":[{"name":"a","value":"b"}]}"#;
        write("1-aci.json", aci);
        write(
            "2-oci.json",
            r#"{"schemaVersion":2,"config":{"size":7},"layers":[{"size":30},{"size":400}],
            "annotations":{"org.opencontainers.image.ref.name":"localhost:5000/app:1.2"}}"#,
        );
        write(
            "3-unnamed.json",
            r#"{"schemaVersion":2,"config":{"size":1},"layers":[]}"#,
        );
        write("4-broken.json", "{");
        write("5-pod.json", r#"{"acKind":"PodManifest"}"#);
        write("README.md", "no manifest");

        let images = read(directory.path()).unwrap();
        let seen = images
            .iter()
            .map(|image| (image.name.as_str(), image.version.as_str(), image.size));
        assert_eq!(
            seen.collect::<Vec<_>>(),
            [
                ("coreos.com/etcd", "v3.1.7", aci.len() as i64),
                ("localhost:5000/app", "1.2", 437),
                ("3-unnamed", "latest", 1)
            ]
        );
        assert_eq!(images[0].annotations, [pair("a".into(), "b".into())]);
        assert!(
            images
                .iter()
                .all(|image| image.id.len() == 71 && image.import_timestamp > 0)
        );
    }

    #[test]
    fn an_id_is_the_beginning_of_the_digest() {
        assert_eq!(
            id(b""),
            "sha512-cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
        );
    }

    #[test]
    fn the_sample_manifests_are_read() {
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/manifests");
        let files = fs::read_dir(&samples).unwrap().count();
        assert_eq!(read(&samples).unwrap().len(), files);
    }
}
