//! The images that containers refer to, asked together with the list of images, which they never fail.

use std::{future::pending, mem, time::Duration};

use scan::Visitor;
use tokio::sync::SetOnce;

use super::{
    fingerprints::{Fingerprint, Fingerprints},
    lists::Lists,
};
use crate::images::grpc::{Calls, Connection};

/// Longest time for which the list of images waits for the references.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Most different references: what fits in a table of 2^15 places, which takes 288 KiB.
const MOST: usize = 28_672;

/// Bytes of a reference that are compared; real ones have at most some 300.
pub(super) const WANTED: usize = 4_096;

/// Where a container's reference is: in the second field, if the first one is missing or empty.
pub(super) type Fields = [u32; 2];

/// What a list of images awaits: `None` if the references are not known.
pub(super) type AwaitedReferences = SetOnce<Option<References>>;

/// The references that containers hold.
#[derive(Debug)]
pub(super) struct References {
    texts: Fingerprints,
    has_digests: bool,
}

impl References {
    /// Whether no container refers to any image.
    pub(super) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Whether a container refers to this, of which the first [`WANTED`] bytes count.
    pub(super) fn contains(&self, text: &[u8]) -> bool {
        self.texts.contains(&text[..text.len().min(WANTED)])
    }

    /// Whether some references are names with a digest.
    pub(super) fn has_digests(&self) -> bool {
        self.has_digests
    }
}

/// The containers of a store.
#[derive(Debug)]
pub(super) struct Containers {
    lists: Lists,
    fields: Fields,
}

impl Containers {
    /// Containers that these two methods list.
    pub(super) fn of(streamed: &'static str, whole: &'static str, fields: Fields) -> Self {
        Self {
            lists: Lists::of(streamed, whole, |status| status),
            fields,
        }
    }

    /// Forgets what is known about the runtime: there is another one.
    pub(super) fn forget(&mut self) {
        self.lists.forget();
    }

    /// Asks for the containers while `list` asks for the images. `list` gets what it can await for the references: `None` if they
    /// are not known, because the call failed, took too long, or there are too many.
    ///
    /// The containers have a connection of their own: a runtime that closes it cannot break off the list.
    pub(super) async fn beside<T>(
        &mut self,
        calls: &Calls<'_>,
        list: impl AsyncFnOnce(&AwaitedReferences) -> T,
    ) -> T {
        let references = AwaitedReferences::new();
        let asking = async {
            calls.connected().await;
            let connection = Connection::default();
            let limit = calls.limit().at_most(timeout(calls.limit().remaining()));
            let found = self.found(&calls.over(&connection, &limit)).await;
            connection.close().await;
            references.set(found).expect("it is set once");
            pending().await
        };
        tokio::select! {
            biased;
            listed = list(&references) => listed,
            never = asking => never,
        }
    }

    async fn found(&mut self, calls: &Calls<'_>) -> Option<References> {
        let collector = async || Collector::new(self.fields);
        let ended = |collector: Collector, _| collector.references;
        let scanned = self.lists.scan(calls, collector, ended).await;
        let store = calls.store();
        match scanned {
            Ok(Some(references)) => return Some(references),
            Ok(None) => tracing::debug!(
                { imagestore.store = store, most = MOST },
                "unused images not counted: containers refer to too many images"
            ),
            Err(error) => tracing::debug!(
                { imagestore.store = store, code = error.code().name(), %error },
                "unused images not counted"
            ),
        }
        None
    }
}

/// The time for the containers: less than what is left for the list, which must not fail for them.
fn timeout(remaining: Duration) -> Duration {
    TIMEOUT.min(remaining / 2)
}

/// Collects the references of containers as they arrive.
#[derive(Debug)]
struct Collector {
    /// `None` if there are too many.
    references: Option<References>,
    fields: Fields,
    /// The current container's references, by field.
    current: [Option<Reference>; 2],
}

#[derive(Clone, Copy, Debug)]
struct Reference {
    text: Fingerprint,
    /// Whether it is a name with a digest.
    is_digest: bool,
}

impl Collector {
    fn new(fields: Fields) -> Self {
        Self {
            references: Some(References {
                texts: Fingerprints::with_room_for(MOST),
                has_digests: false,
            }),
            fields,
            current: [None; 2],
        }
    }
}

impl Visitor for Collector {
    fn integer(&mut self, _: u32, _: u64) {}

    fn wanted(&self, field: u32) -> usize {
        if self.references.is_some() && self.fields.contains(&field) {
            WANTED
        } else {
            0
        }
    }

    fn bytes(&mut self, field: u32, beginning: &[u8]) {
        let place = self.fields.iter().position(|&known| known == field);
        if let (Some(references), Some(place)) = (&self.references, place) {
            self.current[place] = (!beginning.is_empty()).then(|| Reference {
                text: references.texts.of(beginning),
                is_digest: beginning.contains(&b'@'),
            });
        }
    }

    fn end(&mut self) {
        let [first, second] = mem::take(&mut self.current);
        if let (Some(references), Some(reference)) = (&mut self.references, first.or(second)) {
            references.has_digests |= reference.is_digest;
            if references.texts.add(reference.text).is_none() {
                self.references = None;
            }
        }
    }
}

#[cfg(test)]
impl References {
    /// These references, each of a container of its own.
    pub(super) fn to<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut containers = Collector::new([1, 1]);
        for text in texts {
            containers.bytes(1, text);
            containers.end();
        }
        containers.references.expect("they are few")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use scan::Visitor;

    use super::{Collector, MOST, References, timeout};

    /// The references of containers with these values of the fields 10 and 5.
    fn references(containers: &[[&str; 2]]) -> References {
        let mut visitor = Collector::new([10, 5]);
        for [first, second] in containers {
            // In the order of the wire.
            visitor.bytes(1, b"the id of the container");
            visitor.bytes(5, second.as_bytes());
            visitor.bytes(10, first.as_bytes());
            visitor.end();
        }
        visitor.references.expect("they are few")
    }

    #[test]
    fn the_second_field_counts_only_if_the_first_is_empty() {
        let known = references(&[["a", "b"], ["", "c"], ["", ""]]);
        let contained = ["a", "b", "c", ""].map(|text| known.contains(text.as_bytes()));
        assert_eq!(contained, [true, false, true, false]);
        assert!(!known.contains(b"the id of the container"));
    }

    #[test]
    fn the_containers_get_two_seconds_and_at_most_half_of_the_time_that_is_left() {
        let seconds = Duration::from_secs;
        assert_eq!(timeout(seconds(60)), seconds(2));
        assert_eq!(timeout(seconds(2)), seconds(1));
        assert_eq!(timeout(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn containers_without_images_refer_to_nothing() {
        assert!(references(&[["", ""]]).is_empty());
        assert!(references(&[]).is_empty());
    }

    #[test]
    fn only_references_with_an_at_sign_are_digests() {
        assert!(!references(&[["sha256:00", ""]]).has_digests());
        assert!(references(&[["", "a@sha256:00"]]).has_digests());
        assert!(!references(&[["sha256:00", "a@sha256:00"]]).has_digests());
    }

    #[test]
    fn too_many_references_are_none() {
        let mut visitor = Collector::new([1, 1]);
        for number in 0..2 * MOST {
            // Containers of one image are one reference.
            visitor.bytes(1, (number / 2).to_string().as_bytes());
            visitor.end();
        }
        assert!(visitor.references.is_some());
        visitor.bytes(1, b"another one");
        visitor.end();
        assert!(visitor.references.is_none());
        assert_eq!(visitor.wanted(1), 0);
    }
}
