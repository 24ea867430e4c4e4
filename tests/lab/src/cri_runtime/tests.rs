//! The stand-in, tested with a generated client.

use super::*;
use crate::{TempDir, tempdir};
use std::path::PathBuf;

fn stand_in(images: Images) -> (TempDir, PathBuf, StandIn) {
    let folder = tempdir().unwrap();
    let socket = folder.path().join("cri.sock");
    let stand_in = StandIn::unix(&socket, images).unwrap();
    (folder, socket, stand_in)
}

#[test]
fn totals_are_those_of_what_is_sent() {
    let images = Images::generated(100);
    let (_folder, socket, _stand_in) = stand_in(images.clone());
    let listed = client::list_images(&socket).unwrap();
    let untagged = listed.iter().filter(|image| image.repo_tags.is_empty());
    let pinned = listed.iter().filter(|image| image.pinned);
    let totals = Totals {
        count: listed.len() as u64,
        size_bytes: listed.iter().map(|image| image.size).sum(),
        largest: listed.iter().map(|image| image.size).max().unwrap(),
        untagged: untagged.count() as u64,
        pinned: pinned.count() as u64,
        encoded_bytes: v1::ListImagesResponse {
            images: listed.clone(),
        }
        .encoded_len() as u64,
    };
    assert_eq!(images.totals(), totals);
    assert_eq!((totals.count, totals.untagged, totals.pinned), (100, 10, 5));
}

/// If the stand-in sent nothing before it breaks off, tests of broken responses would not test what their names claim.
#[test]
fn an_answer_that_breaks_off_does_so_in_its_middle() {
    for behaviour in [Behaviour::CutOff, Behaviour::Reset(Reason::INTERNAL_ERROR)] {
        let (_folder, socket, stand_in) = stand_in(Images::generated(30));
        stand_in.serve_batches_of(10);
        stand_in.behave(behaviour);
        let (batches, end) = client::stream_images(&socket);
        assert_eq!(batches.len(), 1, "half of three batches");
        end.unwrap_err();
    }
}
