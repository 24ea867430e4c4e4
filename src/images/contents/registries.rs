//! The registries that most images come from, counted in constant memory whatever a store invents.
//!
//! The Space-Saving algorithm (Metwally, Agrawal, El Abbadi: Efficient Computation of Frequent and Top-k Elements in Data
//! Streams, 2005): up to [`CAPACITY`] registries the counts are exact. A further one takes over the place of the smallest
//! together with its count, so that no count is too low, and none too high by more than images / [`CAPACITY`].

/// Registries that are told apart.
const CAPACITY: usize = 256;

/// Registries that are named in an answer; the others are added up.
const NAMED: usize = 10;

/// Images per registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registries {
    /// Never more than [`CAPACITY`].
    counts: Vec<(String, u64)>,
    total: u64,
    /// Where the last image's registry was found: images of one registry tend to come together.
    last: usize,
}

impl Registries {
    /// Counts one image of `registry`.
    pub(super) fn add(&mut self, registry: &str) {
        self.total += 1;
        if let Some((name, count)) = self.counts.get_mut(self.last)
            && name == registry
        {
            *count += 1;
            return;
        }
        self.last = self.place_of(registry);
        self.counts[self.last].1 += 1;
    }

    fn place_of(&mut self, registry: &str) -> usize {
        if let Some(place) = self.counts.iter().position(|(name, _)| name == registry) {
            return place;
        }
        if self.counts.len() < CAPACITY {
            self.counts.push((registry.to_owned(), 0));
            return self.counts.len() - 1;
        }
        let smallest = (0..CAPACITY)
            .min_by_key(|&place| self.counts[place].1)
            .unwrap_or(0);
        let name = &mut self.counts[smallest].0;
        name.clear();
        name.push_str(registry);
        smallest
    }

    /// The ten registries with most images, largest first (equal ones by name), and the number of all other images.
    #[must_use]
    pub fn largest(&self) -> (Vec<(&str, u64)>, u64) {
        let mut sorted: Vec<(&str, u64)> = self
            .counts
            .iter()
            .map(|(name, count)| (name.as_str(), *count))
            .collect();
        sorted.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        sorted.truncate(NAMED);
        let named: u64 = sorted.iter().map(|(_, count)| count).sum();
        (sorted, self.total - named)
    }
}

#[cfg(test)]
mod tests {
    use super::{CAPACITY, Registries};

    #[test]
    fn beyond_ten_registries_the_smallest_are_added_up() {
        let mut registries = Registries::default();
        for size in 1..=12_u64 {
            for _ in 0..size {
                registries.add(&format!("r{size}.example"));
            }
        }
        let (named, others) = registries.largest();
        assert_eq!(named.len(), 10);
        assert_eq!(named[0], ("r12.example", 12));
        assert_eq!(others, 1 + 2);
    }

    #[test]
    fn a_million_registries_neither_grow_the_table_nor_hide_the_large_one() {
        let mut registries = Registries::default();
        for image in 0..100_000 {
            registries.add(&format!("{image}.example"));
            registries.add("large.example");
        }
        let (named, others) = registries.largest();
        assert_eq!(registries.counts.len(), CAPACITY);
        assert_eq!(named[0].0, "large.example");
        let (counted, images) = (named[0].1, 200_000);
        assert!((100_000..=100_000 + images / CAPACITY as u64).contains(&counted));
        assert_eq!(
            named.iter().map(|(_, count)| count).sum::<u64>() + others,
            images
        );
    }
}
