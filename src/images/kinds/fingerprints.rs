//! A bounded set of texts, kept as fingerprints of eight bytes each.
//!
//! A fingerprint is a hash of 64 bits with a secret key (SipHash, as in the standard library's hash tables), so a store cannot choose
//! texts whose fingerprints collide. Three bits hold flags. Among 100,000 texts, two have the same fingerprint with
//! a probability of 2 in 10^9.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

/// A set of at most this many texts grows step by step; a larger one gets the whole table at once, because two large tables at a
/// time would take half as much again.
const FEW: usize = 3_584;

/// The bits of the flags. They are not those that choose the place in the table.
const FLAGS: u64 = 0b111 << FLAGS_AT;
const FLAGS_AT: u32 = 32;

/// A set of texts with flags.
#[derive(Debug)]
pub(super) struct Fingerprints {
    key: RandomState,
    table: HashTable<u64>,
    most: usize,
}

/// The fingerprint of a text. Only the set that made it can compare it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(u64);

/// A fact about a text in a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flag(u64);

impl Flag {
    /// The flag with this number, from 0 to 2.
    pub(super) const fn new(number: u32) -> Self {
        assert!(number < FLAGS.count_ones());
        Self(1 << (FLAGS_AT + number))
    }
}

/// The flags of a text in a set.
#[derive(Debug)]
pub(super) struct Flags<'a>(&'a mut u64);

impl Flags<'_> {
    /// Sets the flag. Returns whether it was not set before.
    pub(super) fn set(&mut self, flag: Flag) -> bool {
        let is_new = *self.0 & flag.0 == 0;
        *self.0 |= flag.0;
        is_new
    }
}

impl Fingerprints {
    /// An empty set of at most so many texts. A table of `2^n` places holds 7/8 of that, and takes nine bytes for each place.
    pub(super) fn with_room_for(most: usize) -> Self {
        Self {
            key: RandomState::new(),
            table: HashTable::new(),
            most,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Whether the set has this text.
    pub(super) fn contains(&self, text: &[u8]) -> bool {
        let Fingerprint(hash) = self.of(text);
        self.table
            .find(hash, |known| known & !FLAGS == hash)
            .is_some()
    }

    /// The fingerprint of `text` in this set.
    pub(super) fn of(&self, text: &[u8]) -> Fingerprint {
        Fingerprint(self.key.hash_one(text) & !FLAGS)
    }

    /// Adds a text, unless it is there. Returns its flags, and whether it is new; `None` if the set is full.
    pub(super) fn add(&mut self, text: Fingerprint) -> Option<(Flags<'_>, bool)> {
        let is_new = self.find(text).is_none();
        if is_new {
            let length = self.table.len();
            if length == self.most {
                return None;
            }
            if length == self.table.capacity() && length >= FEW {
                self.table
                    .reserve(self.most - length, |known| known & !FLAGS);
            }
            let Fingerprint(hash) = text;
            self.table.insert_unique(hash, hash, |known| known & !FLAGS);
        }
        self.find(text).map(|flags| (flags, is_new))
    }

    fn find(&mut self, Fingerprint(hash): Fingerprint) -> Option<Flags<'_>> {
        let found = self.table.find_mut(hash, |known| known & !FLAGS == hash);
        found.map(Flags)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::vec, prelude::*};

    use super::{FEW, Fingerprints, Flag};

    /// What fits in a table of 2^17 places.
    const MOST: usize = 114_688;

    const FIRST: Flag = Flag::new(0);
    const LAST: Flag = Flag::new(2);

    fn text(number: usize) -> Vec<u8> {
        format!("sha256:{number:064x}").into_bytes()
    }

    #[test]
    fn a_full_set_takes_no_new_texts_and_knows_the_old_ones() {
        let mut set = Fingerprints::with_room_for(MOST);
        for number in 0..MOST {
            let text = set.of(&text(number));
            let (mut flags, is_new) = set.add(text).expect("it is not full");
            assert!(is_new, "{number}");
            assert!(flags.set(LAST));
        }
        let other = set.of(&text(MOST));
        assert!(set.add(other).is_none());
        for number in 0..MOST {
            let text = set.of(&text(number));
            let (mut flags, is_new) = set.add(text).expect("it is known");
            assert!(!is_new && !flags.set(LAST) && flags.set(FIRST), "{number}");
        }
        assert!(set.contains(&self::text(5)));
        assert!(!set.contains(&self::text(MOST)));
    }

    #[test]
    fn a_full_set_takes_little_more_than_eight_bytes_a_text() {
        let mut set = Fingerprints::with_room_for(MOST);
        let mut largest = 0;
        for number in 0..MOST {
            let text = set.of(&text(number));
            set.add(text).expect("it is not full");
            largest = largest.max(set.table.allocation_size());
            let capacity = set.table.capacity();
            assert!(capacity <= FEW || capacity == MOST, "{capacity}");
        }
        assert_eq!(set.table.capacity(), MOST);
        assert!(largest <= (1 << 20) + (1 << 17) + 64, "{largest}");
    }

    #[test]
    fn two_sets_have_different_keys() {
        let [one, other] = [(); 2].map(|()| Fingerprints::with_room_for(1).of(b"sha256:00"));
        assert_ne!(one, other);
    }

    proptest! {
        #[test]
        fn a_set_holds_each_text_once_with_its_own_flags(numbers in vec((0_usize..50, any::<bool>()), 0..200)) {
            let mut set = Fingerprints::with_room_for(MOST);
            let mut model = BTreeSet::new();
            let mut flagged = BTreeSet::new();
            for (number, flag) in numbers {
                let text = set.of(&text(number));
                let (mut flags, is_new) = set.add(text).expect("it is not full");
                prop_assert_eq!(is_new, model.insert(number));
                if flag {
                    prop_assert_eq!(flags.set(FIRST), flagged.insert(number));
                }
            }
        }
    }
}
