//! Decodes the same messages with prost. The types have only the compared fields; both sides skip all others as unknown.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct List {
    #[prost(message, repeated, tag = "1")]
    images: Vec<Image>,
}

/// The compared fields of both protocols.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Image {
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) tags: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(crate) digests: Vec<Vec<u8>>,
    #[prost(uint64, tag = "4")]
    pub(crate) size: u64,
    #[prost(int64, tag = "5")]
    pub(crate) import_timestamp: i64,
    #[prost(int64, tag = "7")]
    pub(crate) signed_size: i64,
    #[prost(bool, tag = "8")]
    pub(crate) pinned: bool,
}

/// The images of a message, with names cut to the recorder's length.
pub(crate) fn images(message: &[u8]) -> Result<Vec<Image>, String> {
    let mut images = List::decode(message)
        .map_err(|error| error.to_string())?
        .images;
    for name in images
        .iter_mut()
        .flat_map(|image| image.tags.iter_mut().chain(&mut image.digests))
    {
        name.truncate(super::recorder::WANTED);
    }
    Ok(images)
}
