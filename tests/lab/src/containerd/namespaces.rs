//! The names of images in a namespace: `ctr` changes and lists them, and a client of containerd's own API lists them.

use std::collections::BTreeMap;

use super::Containerd;
use crate::containerd_api::client;
use crate::containerd_api::v1::images::Image;

impl Containerd {
    /// The names in a namespace, each with the digest of its image, as `ctr images ls` prints them.
    #[track_caller]
    pub fn ctr_digests(&self, namespace: &str) -> BTreeMap<String, String> {
        // REF TYPE DIGEST SIZE PLATFORMS LABELS
        let table = self.ctr_in(namespace, &["images", "ls"]);
        let rows = table.lines().skip(1).map(|row| {
            let mut columns = row.split_whitespace().map(str::to_owned);
            columns.next().zip(columns.nth(1))
        });
        rows.map(|row| row.expect("ctr prints these columns"))
            .collect()
    }

    /// The names in a namespace, as a generated client of containerd's own API lists them.
    #[track_caller]
    pub fn images_in(&self, namespace: &str) -> Vec<Image> {
        client::list_images(self.socket(), Some(namespace)).expect("containerd answers")
    }

    /// The version that `ctr version` prints for the server.
    #[track_caller]
    pub fn ctr_version(&self) -> String {
        let printed = self.ctr_in("default", &["version"]);
        let (_, server) = printed.split_once("Server:").expect("it serves");
        let mut words = server.split_whitespace();
        words.find(|&word| word == "Version:");
        words.next().expect("it has a version").to_owned()
    }
}
