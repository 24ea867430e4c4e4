//! Images per registry, counted in constant memory whatever a store reports.
//!
//! Every image is counted exactly once, so the counts add up to the number of images. Which registries are named depends only on
//! their names, not on the order of the list: runtimes list images in the order of a hash table, and that must not make series come
//! and go.

/// How many registries are named: those whose names sort first. The images of all others are added up.
///
/// Real hosts have fewer than ten. With names of the maximum length, 64 take about 20 KiB in a scrape, and in the kept record,
/// which is limited to 64 KiB.
const NAMED: usize = 64;

/// The registry of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registry<'a> {
    /// The registry at this host, whose characters have been checked.
    Host(&'a str),
    /// The name has an invalid host.
    Invalid,
    /// The image has no name.
    None,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registries {
    /// Sorted by name; never more than [`NAMED`].
    hosts: Vec<(String, u64)>,
    /// Index of the last image's registry: images of one registry tend to come together.
    last: usize,
    /// Images of registries that are not named.
    other: u64,
    invalid: u64,
    none: u64,
}

impl Registries {
    /// Label value for all registries that are not named. Host names cannot contain parentheses.
    const OTHER: &str = "(other)";

    /// Label value for names without a valid host.
    const INVALID: &str = "(invalid)";

    /// Label value for images without a name.
    const NONE: &str = "(none)";

    pub(crate) fn add(&mut self, registry: Registry<'_>) {
        match registry {
            Registry::Host(host) => self.add_host(host),
            Registry::Invalid => self.invalid += 1,
            Registry::None => self.none += 1,
        }
    }

    /// Gives an image that was added without a name a registry.
    pub(crate) fn add_named(&mut self, registry: Registry<'_>) {
        self.none = self.none.saturating_sub(1);
        self.add(registry);
    }

    fn add_host(&mut self, host: &str) {
        if let Some((name, count)) = self.hosts.get_mut(self.last)
            && name == host
        {
            *count += 1;
            return;
        }
        match self
            .hosts
            .binary_search_by(|(name, _)| name.as_str().cmp(host))
        {
            Ok(place) => {
                self.hosts[place].1 += 1;
                self.last = place;
            }
            Err(place) => self.add_new_host(place, host),
        }
    }

    /// A host that is removed or not added has `NAMED` hosts before it, so it is not named in the end either; a host that is named
    /// in the end was never removed. So the counts are exact in any order.
    fn add_new_host(&mut self, place: usize, host: &str) {
        if place == NAMED {
            self.other += 1;
            return;
        }
        if self.hosts.len() == NAMED
            && let Some((_, count)) = self.hosts.pop()
        {
            self.other += count;
        }
        self.hosts.insert(place, (host.to_owned(), 1));
        self.last = place;
    }

    /// The images of each registry: hosts by name, then `(invalid)`, `(none)` and `(other)` if there are such images.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&str, u64)> {
        let hosts = self.hosts.iter();
        let ours = [
            (Self::INVALID, self.invalid),
            (Self::NONE, self.none),
            (Self::OTHER, self.other),
        ];
        hosts
            .map(|(name, count)| (name.as_str(), *count))
            .chain(ours.into_iter().filter(|(_, count)| *count > 0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::{NAMED, Registries, Registry};

    fn counted(hosts: impl IntoIterator<Item = usize>) -> Vec<(String, u64)> {
        let mut registries = Registries::default();
        for host in hosts {
            registries.add(Registry::Host(&format!("{host:03}.example")));
        }
        let counts = registries.counts();
        counts
            .map(|(name, count)| (name.to_owned(), count))
            .collect()
    }

    #[test]
    fn with_exactly_64_registries_none_is_counted_as_other() {
        let counts = counted((0..NAMED).rev());
        assert_eq!(counts.len(), NAMED);
        assert!(counts.iter().all(|(_, count)| *count == 1), "{counts:?}");
    }

    #[test]
    fn with_65_registries_the_last_by_name_is_counted_as_other() {
        let counts = counted((0..=NAMED).chain([NAMED]));
        assert_eq!(counts.len(), NAMED + 1);
        assert_eq!(counts[NAMED], ("(other)".to_owned(), 2));
    }

    #[test]
    fn a_hundred_thousand_registries_do_not_grow_the_table() {
        let mut registries = Registries::default();
        for host in (0..100_000).rev() {
            registries.add(Registry::Host(&format!("{host}.example")));
        }
        assert_eq!(registries.hosts.len(), NAMED);
        assert!(registries.hosts.capacity() <= 2 * NAMED);
        let images: u64 = registries.counts().map(|(_, count)| count).sum();
        assert_eq!(images, 100_000);
    }

    proptest! {
        #[test]
        fn the_counts_are_exact_and_the_same_in_every_order(
            hosts in vec(0..2 * NAMED, 0..600),
            seed in any::<u64>(),
        ) {
            let counts = counted(hosts.iter().copied());
            for (name, count) in counts.iter().filter(|(name, _)| name != "(other)") {
                let right = hosts.iter().filter(|host| *name == format!("{host:03}.example"));
                prop_assert_eq!(*count, right.count() as u64);
            }
            let images: u64 = counts.iter().map(|(_, count)| count).sum();
            prop_assert_eq!(images, hosts.len() as u64);

            let mut shuffled: Vec<_> = hosts.iter().copied().zip(0_u64..).collect();
            shuffled.sort_by_key(|(_, place)| (place ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            prop_assert_eq!(counted(shuffled.into_iter().map(|(host, _)| host)), counts);
        }
    }
}
