//! The stand-in as a plain client of generated code sees it.

use super::*;
use crate::{TempDir, tempdir};
use std::path::{Path, PathBuf};

fn stand_in(images: Images) -> (TempDir, PathBuf, StandIn) {
    let folder = tempdir().unwrap();
    let socket = folder.path().join("cri.sock");
    let stand_in = StandIn::unix(&socket, images).unwrap();
    (folder, socket, stand_in)
}

/// How many images are in each batch, and how the stream ends.
fn stream(socket: &Path) -> (Vec<usize>, Result<(), tonic::Status>) {
    let (batches, end) = client::stream_images(socket);
    (batches.iter().map(Vec::len).collect(), end)
}

#[test]
fn images_are_listed_with_names_size_and_pin() {
    let images = Images::generated(100);
    let (_folder, socket, stand_in) = stand_in(images.clone());
    assert_eq!(stand_in.url(), format!("cri+unix://{}", socket.display()));
    let listed = client::list_images(&socket).unwrap();
    let totals = images.totals();
    assert_eq!(listed.len() as u64, totals.count);
    assert_eq!(
        listed.iter().map(|image| image.size).sum::<u64>(),
        totals.size_bytes
    );
    let untagged = |image: &&v1::Image| image.repo_tags.is_empty();
    assert_eq!(listed.iter().filter(untagged).count(), 10);
    assert_eq!(totals.untagged, 10);
    assert_eq!(listed.iter().filter(|image| image.pinned).count(), 5);
    assert_eq!(totals.pinned, 5);
    assert_eq!(listed[8].repo_tags, ["r1.example.org/service-000008:1.8"]);
    assert_eq!(images.hosts()["r1.example.org"], 15);
    let encoded = v1::ListImagesResponse { images: listed }.encoded_len();
    assert_eq!(totals.encoded_bytes, encoded as u64);
    let calls = stand_in.calls();
    assert_eq!(calls[0].method(), Some(Method::ListImages));
}

#[test]
fn a_stream_comes_in_batches() {
    let (_folder, socket, stand_in) = stand_in(Images::generated(25));
    stand_in.serve_batches_of(10);
    assert_eq!(stream(&socket).0, [10, 10, 5]);
    stand_in.serve_images(Images::generated(0));
    assert_eq!(stream(&socket).0, [0_usize; 0]);
}

#[test]
fn a_stream_can_fail_after_any_batch() {
    let (_folder, socket, stand_in) = stand_in(Images::generated(25));
    stand_in.serve_batches_of(10);
    for messages in 0..=3 {
        stand_in.behave(Behaviour::FailAfter {
            messages,
            code: 13,
            message: "no more".into(),
        });
        let (batches, end) = stream(&socket);
        assert_eq!(batches.len(), messages);
        assert_eq!(end.unwrap_err().message(), "no more");
    }
}

#[test]
fn a_stream_can_be_cut_off_in_the_middle_of_a_batch() {
    let (_folder, socket, stand_in) = stand_in(Images::generated(30));
    stand_in.serve_batches_of(10);
    stand_in.behave(Behaviour::CutOff);
    let (batches, end) = stream(&socket);
    assert_eq!(batches, [10]);
    end.unwrap_err();
}

#[test]
fn what_a_runtime_does_not_have_is_refused_as_grpc_go_does() {
    let (_folder, socket, stand_in) = stand_in(Images::generated(1));
    stand_in.without(Method::Version);
    let status = client::version(&socket).unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unimplemented);
    assert_eq!(
        status.message(),
        "unknown method Version for service runtime.v1.RuntimeService"
    );
}

#[test]
fn version_and_file_systems_are_told() {
    let (_folder, socket, stand_in) = stand_in(Images::generated(1));
    stand_in.serve_version("cri-o", "1.36.0");
    stand_in.serve_filesystems(vec![filesystem("/a", 1, 2), filesystem("/b", 3, 4)]);
    assert_eq!(client::version(&socket).unwrap().runtime_name, "cri-o");
    assert_eq!(client::image_filesystems(&socket).unwrap().len(), 2);
}

#[test]
fn a_name_need_not_be_text() {
    let image = Image::tagged(b"\xff\xfe/x:1");
    let (_folder, socket, _stand_in) = stand_in(Images::listed([image]));
    let status = client::list_images(&socket).unwrap_err();
    assert!(status.message().contains("UTF-8"), "{status}");
}
