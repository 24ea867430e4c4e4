//! The names of images in a namespace, as Images/List lists them.

use std::fmt;
use std::sync::Arc;

use super::v1::images::{Descriptor, Image, Timestamp};
use crate::stand_in::Listing;

/// The names in a namespace, generated while they are sent.
#[derive(Clone)]
pub struct Names(Arc<dyn Fn() -> Listing + Send + Sync>);

impl Names {
    /// `count` names, each made by `image` from its ordinal.
    pub fn made(count: usize, image: impl Fn(usize) -> Image + Send + Sync + 'static) -> Self {
        let image = Arc::new(image);
        Self(Arc::new(move || {
            let image = Arc::clone(&image);
            Listing::of((0..count).map(move |ordinal| image(ordinal)))
        }))
    }

    /// `count` names with tags, each of an image of its own.
    pub fn generated(count: usize) -> Self {
        Self::made(count, |ordinal| {
            image(&format!("quay.io/a:{ordinal}"), ordinal)
        })
    }

    /// One message with all names.
    pub(super) fn listing(&self) -> Listing {
        (self.0)()
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of names", self.listing().length)
    }
}

/// A name of the image with this number, made that many seconds after the beginning of 2024.
pub fn image(name: &str, number: usize) -> Image {
    Image {
        name: name.to_owned(),
        target: Some(Descriptor {
            digest: format!("sha256:{number:064x}"),
            ..Descriptor::default()
        }),
        created_at: Some(Timestamp {
            seconds: 1_704_067_200 + number as i64,
        }),
        ..Image::default()
    }
}
