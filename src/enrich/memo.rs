//! What was made of the texts asked last, within fixed bounds.
//!
//! Owns forgetting. Sets of four entries each, the one asked longest ago goes; buffers are used again. Invariant: it
//! never holds more than its entries, of keys and texts that were cut before, whatever is asked.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Entries that share a set: as many may be asked in turn without one driving another out.
const WAYS: usize = 4;

#[derive(Debug, Default, Clone)]
struct Entry {
    key: Vec<u8>,
    text: Vec<u8>,
    /// When it was asked last; 0 for one that is empty.
    asked: u64,
}

/// Texts by keys.
#[derive(Debug)]
pub(super) struct Memo {
    entries: Vec<Entry>,
    now: u64,
    /// So that no client can know which keys share a set.
    seed: u64,
}

impl Memo {
    /// For a power of two of entries.
    pub(super) fn new(entries: usize) -> Self {
        use std::hash::BuildHasher as _;
        debug_assert!(entries.is_power_of_two() && entries >= WAYS);
        Self {
            entries: vec![Entry::default(); entries],
            now: 0,
            seed: std::collections::hash_map::RandomState::new().hash_one(0),
        }
    }

    /// The text of a key, made by `make` if it is not known.
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
        fn a_text_is_always_that_of_its_key(keys in prop::collection::vec(0..40_u8, 0..400)) {
            let mut memo = Memo::new(8);
            for key in keys {
                let text = memo.get(&[key], |text| text.push(key ^ 0xff));
                prop_assert_eq!(text, &[key ^ 0xff][..]);
            }
        }
    }

    #[test]
    fn what_is_asked_again_is_not_made_again() {
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
