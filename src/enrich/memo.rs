//! A bounded cache of texts by key.
//!
//! Owns eviction: the cache has sets of four entries, and the least recently used entry of a set is replaced. Buffers are
//! reused. Invariant: the cache never holds more than its entries, and the caller limits the length of keys and texts.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Entries in a set: so many keys of a set can alternate without evicting one another.
const WAYS: usize = 4;

#[derive(Debug, Default, Clone)]
struct Entry {
    key: Vec<u8>,
    text: Vec<u8>,
    /// The time of the last use; 0 for an empty entry.
    asked: u64,
}

/// The cache.
#[derive(Debug)]
pub(super) struct Memo {
    entries: Vec<Entry>,
    now: u64,
    /// Keeps clients from choosing keys that share a set.
    seed: u64,
}

impl Memo {
    /// Creates a cache with `entries`, a power of two.
    pub(super) fn new(entries: usize) -> Self {
        use std::hash::BuildHasher as _;
        debug_assert!(entries.is_power_of_two() && entries >= WAYS);
        Self {
            entries: vec![Entry::default(); entries],
            now: 0,
            seed: std::collections::hash_map::RandomState::new().hash_one(0),
        }
    }

    /// Returns the text of a key; `make` writes it if the cache does not have it.
    pub(super) fn get(&mut self, key: &[u8], make: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        self.now += 1;
        let sets = (self.entries.len() / WAYS) as u64;
        let hash = xxh3_64_with_seed(key, self.seed);
        let first = usize::try_from(hash & (sets - 1)).unwrap_or(0) * WAYS;
        let set = &mut self.entries[first..first + WAYS];
        let known = set
            .iter()
            .position(|entry| entry.asked > 0 && entry.key == key);
        let at = known.unwrap_or_else(|| {
            let oldest = set.iter().enumerate().min_by_key(|(_, entry)| entry.asked);
            oldest.map_or(0, |(at, _)| at)
        });
        let entry = &mut set[at];
        if known.is_none() {
            entry.key.clear();
            entry.key.extend_from_slice(key);
            entry.text.clear();
            make(&mut entry.text);
        }
        entry.asked = self.now;
        &entry.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_cache_returns_the_text_of_its_key(keys in prop::collection::vec(0..40_u8, 0..400)) {
            let mut memo = Memo::new(8);
            for key in keys {
                let text = memo.get(&[key], |text| text.push(key ^ 0xff));
                prop_assert_eq!(text, &[key ^ 0xff][..]);
            }
        }
    }

    #[test]
    fn a_recently_used_text_is_not_made_again() {
        let mut memo = Memo::new(4);
        for key in 0..100_u8 {
            memo.get(b"hot", |text| {
                assert_eq!(key, 0);
                text.push(1);
            });
            memo.get(&[key], |_| {});
        }
    }
}
